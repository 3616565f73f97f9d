"""Users and their key pairs."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors
from operators.api.call import Call, account_of, contains, listing
from operators.api.changing import given, remove, update
from operators.api.declare import ADMINS, Answer, Single, Started, command, string, uuid
from operators.api.directory import Domain, User, account_name, user_name
from operators.api.jobs import done
from operators.api.keys import check_username, make_user, new_pair, set_password, take_pair
from operators.api.people import PeopleArgs, in_scope, rule_over
from operators.api.responses import identity as respond
from operators.api.responses.done import Done
from operators.contract.identity import DOMAIN, USER, Role, UserSpec

KEEPERS = ADMINS - {Role.RESOURCE_ADMIN}
"""Who may make and change users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListUsers(PeopleArgs):
    """Arguments."""

    id: User | None = uuid("ID of the user", USER)
    username: str = string("Name that the user logs in with")
    account: str = string("Users of this account")


@command(
    "listUsers",
    "Lists users.",
    item=respond.UserResponse,
    key="user",
    refused="apikeyaccess usersource",
    ignored="showicon",
)
async def list_users(call: Call, args: ListUsers) -> Answer:
    """Admins see those of their domains, others those of their own account."""

    def wanted(obj: User) -> bool:
        its = call.directory.account_of(obj.spec.account)
        return (
            its is not None
            and (args.id is None or obj.meta.uid == args.id.meta.uid)
            and args.username in ("", user_name(obj))
            and args.account in ("", account_name(its))
            and in_scope(call, args, its, by_id=bool(args.id or args.account))
            and contains(args.keyword, user_name(obj))
        )

    return listing(args, call.cloud.all(USER, None, wanted), lambda obj: respond.user(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateUser:
    """Arguments."""

    account: str = string("Name of the account that it shall act for", required=True)
    domainid: Domain | None = uuid("ID of the account's domain; the caller's own by default", DOMAIN)
    username: str = string("Name that it logs in with", required=True)
    password: str = string("Its password", required=True)
    firstname: str = string("Its first name", required=True)
    lastname: str = string("Its last name", required=True)
    email: str = string("Its address", required=True)


@command(
    "createUser",
    "Creates another user of an account.",
    item=respond.UserResponse,
    key="user",
    roles=KEEPERS,
    refused="userid",
    ignored="timezone",
)
async def create_user(call: Call, args: CreateUser) -> Answer:
    """The User, and its Secret."""
    account = rule_over(call, account_of(call, args.account, args.domainid))
    domain = call.directory.domain_of(account) or call.caller.domain
    check_username(call, args.username, domain)
    spec = UserSpec(account.meta.name, args.username, args.firstname, args.lastname, args.email)
    return Single(respond.user(call, await make_user(call, spec, domain, args.password)))


@dataclass(frozen=True, slots=True, kw_only=True)
class OneUser:
    """Arguments: a user."""

    id: User = uuid("ID of the user", USER, required=True)


def _target(call: Call, user: User, *, own: bool = False) -> User:
    """The user, if the caller may change it: as an admin of its account, or, where that is enough, as itself."""
    if own and user.meta.uid == call.caller.user.meta.uid:
        return user
    account = call.directory.account_of(user.spec.account)
    if account is None:
        raise errors.denied("The user has no account")
    rule_over(call, account)
    return user


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateUser(OneUser):
    """Arguments."""

    firstname: str = string("Its first name from now on")
    lastname: str = string("Its last name from now on")
    email: str = string("Its address from now on")
    username: str = string("Name that it logs in with from now on; for admins")
    password: str = string("Its password from now on")
    currentpassword: str = string("Its password until now, which a user needs who changes its own")
    userapikey: str = string("An API key of the caller's choice, with usersecretkey")
    usersecretkey: str = string("The secret key to it")


@command(
    "updateUser",
    "Changes a user.",
    item=respond.UserResponse,
    key="user",
    refused="apikeyaccess mandate2fa",
    ignored="timezone",
)
async def update_user(call: Call, args: UpdateUser) -> Answer:
    """People may change their own names, password and keys; admins those of others, too."""
    user = _target(call, args.id, own=True)
    if args.username and args.username != user_name(user):
        _rename(call, user, args.username)
    if args.password:
        await _check_current(call, user, args.currentpassword)
        await set_password(call, user, args.password)
    if bool(args.userapikey) != bool(args.usersecretkey):
        raise errors.invalid("Please provide a userApiKey/userSecretKey pair")
    if args.userapikey:
        if call.directory.by_api_key(args.userapikey) is not None:
            raise errors.invalid("The API key exists already: choose another")
        user = await take_pair(call, user, args.userapikey, args.usersecretkey)
    names = given(firstName=args.firstname, lastName=args.lastname, email=args.email, username=args.username)
    return Single(respond.user(call, await update(call, user, names)))


def _rename(call: Call, user: User, name: str) -> None:
    _target(call, user)
    account = call.directory.account_of(user.spec.account)
    domain = call.directory.domain_of(account) if account else None
    if domain is not None:
        check_username(call, name, domain)


async def _check_current(call: Call, user: User, password: str) -> None:
    """A session that somebody left open must not be enough to take a user over."""
    if user.meta.uid != call.caller.user.meta.uid or call.caller.root:
        return
    if not await call.doors.knows(user, password):
        raise errors.invalid("Current password is incorrect")


@command("deleteUser", "Deletes a user with its keys.", item=Done, roles=KEEPERS)
async def delete_user(call: Call, args: OneUser) -> Answer:
    """Its Secret goes with it."""
    if args.id.meta.uid == call.caller.user.meta.uid:
        raise errors.denied("Nobody can delete the own user")
    await remove(call, _target(call, args.id))
    return Single(Done())


@command("enableUser", "Lets a user in again.", item=respond.UserResponse, key="user", roles=KEEPERS)
async def enable_user(call: Call, args: OneUser) -> Answer:
    """The operator's own `spec.enabled`."""
    return Single(respond.user(call, await update(call, _target(call, args.id), {"enabled": True})))


@command(
    "disableUser",
    "Keeps a user out.",
    item=respond.UserResponse,
    key="user",
    roles=KEEPERS,
    asynchronous=True,
)
async def disable_user(call: Call, args: OneUser) -> Answer:
    """The operator's own `spec.enabled`; its API keys and sessions end at once."""
    return Started(done((await _shut(call, args.id)).meta.uid))


async def _shut(call: Call, user: User) -> User:
    if user.meta.uid == call.caller.user.meta.uid:
        raise errors.denied("Nobody can disable the own user")
    return await update(call, _target(call, user), {"enabled": False})


@command(
    "lockUser",
    "Keeps a user out, who is then shown as disabled.",
    item=respond.UserResponse,
    key="user",
    roles=KEEPERS,
)
async def lock_user(call: Call, args: OneUser) -> Answer:
    """What CloudStack's locking does, and `disableUser` here."""
    return Single(respond.user(call, await _shut(call, args.id)))


@dataclass(frozen=True, slots=True, kw_only=True)
class GetUser:
    """Arguments."""

    userapikey: str = string("An API key of the user", required=True)


@command("getUser", "Tells who has an API key.", item=respond.UserResponse, key="user")
async def get_user(call: Call, args: GetUser) -> Answer:
    """One that the caller may know of."""
    user = call.directory.by_api_key(args.userapikey)
    if user is None or not call.directory.sees(call.caller, user):
        raise errors.invalid("User does not exist for the given API key")
    return Single(respond.user(call, user))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKeysResponse:
    """A key pair, with the secret half, which is never shown again."""

    apikey: str
    secretkey: str


@command(
    "registerUserKeys",
    "Gives a user a new key pair in place of the newest one. The secret key is shown now and never again.",
    item=NewKeysResponse,
    key="userkeys",
)
async def register_user_keys(call: Call, args: OneUser) -> Answer:
    """The old pair ends at once."""
    api_key, secret = await new_pair(call, _target(call, args.id, own=True))
    return Single(NewKeysResponse(apikey=api_key, secretkey=secret))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysResponse:
    """The public half of a key pair."""

    apikey: str | None


@command(
    "getUserKeys", "Tells a user's newest API key. Its secret key was shown once.", item=KeysResponse, key="userkeys"
)
async def get_user_keys(call: Call, args: OneUser) -> Answer:
    """The public half alone."""
    user = _target(call, args.id, own=True)
    return Single(KeysResponse(apikey=user.spec.api_keys[-1] if user.spec.api_keys else None))
