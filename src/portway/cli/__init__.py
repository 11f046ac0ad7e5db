"""The command line: one file a command. It asks the server over HTTP and prints; it decides nothing itself."""
