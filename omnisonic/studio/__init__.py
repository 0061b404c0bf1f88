"""What musicians have: accounts, sessions, uploads, exports, and the audio work behind them."""
