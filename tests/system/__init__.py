"""The whole system: three services in processes of their own, on parts that are as real as the machine allows."""
