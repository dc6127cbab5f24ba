import os

os.environ["ZANSA_WATCH"] = "0.1"
