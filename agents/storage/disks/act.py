"""What a Disk's plan can do. Each may be cut off anywhere and done again."""

from __future__ import annotations

from agents.storage.disks.model import Adopt, Create, GiveBack, Remove, Resize
from agents.storage.driver import DiskPart, Drivers
from agents.storage.failure import Failed
from agents.storage.folders import Place, PoolOffline, Strange
from agents.storage.qemuimg import QemuImgError, trouble
from operators.contract.reasons import Reason
from operators.kernel import Problem, Retry

BUSY = 5.0
"""Seconds between looks at a file that QEMU has open; that it was closed, nothing tells."""


async def act(action: Create | Adopt | GiveBack | Resize | Remove, drivers: Drivers) -> None:
    """Do one action. Raises Problem."""
    place = action.source if isinstance(action, GiveBack) else action.place
    try:
        driver = drivers.disks(place.pool)
        match action:
            case Create():
                await driver.create(place, action.uid, action.size, action.layout, action.backing)
            case Adopt():
                await adopt(action, driver)
            case GiveBack():
                await driver.give_back(place, action.disk.spec.replaces)
            case Resize():
                await resize(action, driver)
            case Remove():
                await remove(action, driver)
    except PoolOffline as error:
        raise Problem(Retry(Reason.POOL_OFFLINE, f"pool {place.pool.name}: {error}", after=BUSY)) from error
    except Strange as error:
        raise Problem(Retry(Reason.STORAGE_ERROR, f"{error}. It was left alone; move it away", after=60)) from error
    except Failed as error:
        raise Problem(Retry(error.reason, error.message, after=30)) from error
    except (QemuImgError, OSError) as error:
        raise trouble(error, place.pool.name) from error


async def adopt(action: Adopt, driver: DiskPart) -> None:
    """Make a file that was put into the pool the Disk's."""
    origin = Place.to_adopt(action.place.pool, action.origin.file)
    try:
        await driver.adopt(origin, action.place)
    except FileNotFoundError as error:
        message = f"{origin.absolute} is not there; put it there, or delete the Volume"
        raise Problem(Retry(Reason.SOURCE_UNREACHABLE, message, after=15)) from error
    except Failed as error:
        raise Problem(Retry(error.reason, f"{action.origin.file}: {error}", after=60)) from error


async def resize(action: Resize, driver: DiskPart) -> None:
    """Grow the file."""
    try:
        await driver.resize(action.place, action.size, action.layout)
    except QemuImgError as error:
        if error.locked:
            # Started meanwhile: the next look leaves it to the hypervisor.
            raise Problem(Retry(Reason.GROWING, "a guest has just been started on it", after=1.0)) from error
        raise


async def remove(action: Remove, driver: DiskPart) -> None:
    """Remove the file unless QEMU has it open."""
    if await driver.in_use(action.place):
        message = f"{action.place.absolute} is open in a running guest, so it is not removed"
        raise Problem(Retry(Reason.STILL_ATTACHED, message, after=BUSY))
    await driver.remove(action.place, action.uid)
