"""Errors as the CloudStack API tells them: an HTTP status that is also the code, a finer code, a sentence."""

from __future__ import annotations

GENERIC, INVALID_PARAMETER, PERMISSION_DENIED, ALLOCATION = 9999, 4350, 4365, 4370
"""Values of `cserrorcode`."""


class ApiError(Exception):
    """What a caller is told in place of an answer."""

    def __init__(self, code: int, text: str, cserror: int | None = GENERIC) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.cserror = cserror
        """Left out of the answer when None, as with everything about who the caller is."""


class UnknownCommand(ApiError):
    """No such command, which comes under a key of its own; CloudStack says no more than that the caller is nobody."""


UNVERIFIED = "unable to verify user credentials and/or request signature"


def unauthenticated() -> ApiError:
    """Nobody we know. What was wrong is not told."""
    return ApiError(401, UNVERIFIED, None)


def unknown_command() -> ApiError:
    """The command is none of CloudStack's."""
    return UnknownCommand(401, UNVERIFIED, None)


def not_available(command: str) -> ApiError:
    """The command exists, but not for this caller."""
    return ApiError(432, f"The given command '{command}' either does not exist or is not available for the user")


def not_yet(command: str, why: str = "") -> ApiError:
    """The command exists in CloudStack, and nothing here carries it out yet."""
    return ApiError(432, f"{command} is not supported yet{f', since {why}' if why else ''}: listApis tells what is")


def parameter_not_yet(command: str, name: str) -> ApiError:
    """Refused rather than passed over, so that nobody gets something else than they asked for."""
    return ApiError(432, f"parameter {name} of {command} is not supported yet: listApis tells which are")


def missing(command: str, name: str) -> ApiError:
    """A required parameter is missing or empty."""
    return ApiError(431, f"Unable to execute API command {command.lower()} due to missing parameter {name}")


def no_entity(command: str, name: str, value: str) -> ApiError:
    """A uuid of nothing, or of something that this caller may not know of."""
    return ApiError(
        431,
        f"Unable to execute API command {command.lower()} due to invalid value. Invalid parameter {name} value={value} "
        "due to incorrect long value format, or entity does not exist or due to incorrect parameter annotation for the "
        "field in api cmd class.",
    )


def bad_value(command: str, name: str, value: str) -> ApiError:
    """A value that is not of the parameter's type."""
    return ApiError(
        431, f"Unable to execute API command {command.lower()} due to invalid value {value} for parameter {name}"
    )


def invalid(text: str) -> ApiError:
    """A parameter whose value makes no sense here."""
    return ApiError(431, text, INVALID_PARAMETER)


def denied(text: str) -> ApiError:
    """The caller lacks the permission."""
    return ApiError(531, text, PERMISSION_DENIED)


def in_use(text: str) -> ApiError:
    """Something else still needs it."""
    return ApiError(536, text)


def over_limit(text: str) -> ApiError:
    """It would be more than the account, project or domain may have."""
    return ApiError(535, text, ALLOCATION)


def too_many(milliseconds: int) -> ApiError:
    """The account has made as many calls as it may for now."""
    return ApiError(
        429,
        f"The given user has reached his/her account api limit, please retry after [{milliseconds}] ms.",
    )


def internal() -> ApiError:
    """Our own fault; the log says more."""
    return ApiError(530, "Internal error executing command, please contact your system administrator")


def unavailable(text: str) -> ApiError:
    """Try again in a moment."""
    return ApiError(503, text)
