"""Every Python that is started with this folder on its PYTHONPATH has a clock that is CLOCK_OFF_DAYS off."""

import os
from datetime import UTC, datetime, timedelta

import time_machine

time_machine.travel(datetime.now(UTC) + timedelta(days=float(os.environ["CLOCK_OFF_DAYS"]))).start()
