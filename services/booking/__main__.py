import sys

from messaging.entry import main
from services.booking.app import SERVICE

sys.exit(main(SERVICE, sys.argv[1:]))
