import sys

from messaging.entry import main
from services.credits.app import SERVICE

sys.exit(main(SERVICE, sys.argv[1:]))
