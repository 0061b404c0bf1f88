"""`python -m omnisonic` is the command `omnisonic`."""

from omnisonic.cli.main import main

main()
