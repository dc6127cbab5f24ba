"""python -m zansa"""

from .cli import main

main()
