"""The one exception of the command line: something the user can change."""

EXIT_OK, EXIT_BUG, EXIT_USER, EXIT_STOPPED = 0, 1, 2, 130


class UserError(Exception):
    """What was wrong, the value seen, what to do; printed as one line, without a traceback, exit code 2."""
