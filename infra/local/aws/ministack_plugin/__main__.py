"""Run MiniStack with every correction installed."""
from ministack import app

from . import alarms, install

if __name__ == "__main__":
    install()
    alarms.start_clock()
    app.main()
