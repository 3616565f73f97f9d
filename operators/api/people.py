"""What the commands about accounts and those about users share."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, rights
from operators.api.call import Call, ListArgs
from operators.api.declare import boolean, integer, string, uuid
from operators.api.directory import Account, Domain
from operators.api.responses import identity as respond
from operators.api.responses.roles import id_of
from operators.contract.identity import ACCESS_ROLE, DOMAIN, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleArgs(ListArgs):
    """What both lists of people take."""

    domainid: Domain | None = uuid("Those of this domain", DOMAIN)
    isrecursive: bool = boolean("Whether domainid means the domains beneath it, too")
    listall: bool = boolean("List all that the caller may see, in place of the caller's own")
    accounttype: int | None = integer("0 user, 1 root admin, 2 domain admin, 3 resource admin")
    state: str = string("enabled or disabled")


def in_scope(call: Call, args: PeopleArgs, account: Account, *, by_id: bool) -> bool:
    """Whether an account is among those asked for, and one that the caller may see."""
    if not call.directory.sees_account(call.caller, account):
        return False
    if args.accounttype not in (None, respond.TYPES[account.spec.role]):
        return False
    if args.state.lower() not in ("", "enabled" if account.spec.enabled else "disabled"):
        return False
    if args.domainid is not None:
        its = call.directory.domain_of(account)
        deep = args.isrecursive and its is not None and call.directory.within(its, args.domainid)
        return deep or (its is not None and its.meta.uid == args.domainid.meta.uid)
    everything = by_id or args.listall or call.caller.role is not Role.USER
    return everything or account.meta.uid == call.caller.account.meta.uid


def chosen_role(call: Call, roleid: str, accounttype: int | None) -> tuple[Role, str]:
    """The role that a caller gives, and the name of the AccessRole if it is one; it must have all that itself."""
    custom = call.cloud.by_uid(ACCESS_ROLE, roleid) if roleid else None
    if custom is not None:
        role = custom.spec.type
    elif roleid:
        found = [each for each in Role if id_of(each) == roleid]
        if not found:
            raise errors.invalid(f"there is no role {roleid}: listRoles tells which there are")
        role = found[0]
    else:
        types = {number: each for each, number in respond.TYPES.items()}
        if accounttype not in types:
            raise errors.invalid("Either roleid or accounttype is needed: 0 user, 1 root admin, 2 domain admin")
        role = types[accounttype]
    rights.check_may_give(call.cloud, call.caller, call.commands, role, custom)
    return role, custom.meta.name if custom else ""


def rule_over(call: Call, account: Account) -> Account:
    """The account, if the caller may change it: one that it sees and that has no more rights than it."""
    if not call.directory.sees_account(call.caller, account):
        raise errors.denied("The caller may not change that account")
    if call.caller.role is Role.USER or rights.RANK[account.spec.role] > rights.RANK[call.caller.role]:
        raise errors.denied("The caller may not change an account with more rights than its own")
    return account
