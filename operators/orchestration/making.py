"""Makes what a VirtualMachine needs, each thing by one run at a time."""

from __future__ import annotations

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.meta import Key
from operators.kernel.cache import AnyKind
from operators.kernel.store import AlreadyExists, Store
from operators.orchestration.drafts import Draft
from operators.orchestration.together import together


class Making:
    """What both controllers make. What one of them is making already, the other passes over: it will hear of it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._underway: set[tuple[AnyKind, Key]] = set()

    async def make(self, *drafts: Draft) -> None:
        """Make objects side by side."""
        await together(*(self._make(draft) for draft in drafts if (draft.kind, draft.key) not in self._underway))

    async def _make(self, draft: Draft) -> None:
        self._underway.add((draft.kind, draft.key))
        body = draft.kind.body(
            draft.key,
            spec=to_wire(draft.spec),
            labels={names.LABEL_VM_UID: draft.owner.uid, names.LABEL_FLOW: draft.flow},
            ownerReferences=[to_wire(draft.owner)],
            finalizers=[draft.finalizer],
        )
        try:
            await self._store.create(draft.kind, body)
        except AlreadyExists:
            # Made before a restart, or somebody else's: the cache learns which, and the next look decides.
            await self._store.get(draft.kind, draft.key)
        finally:
            self._underway.discard((draft.kind, draft.key))
