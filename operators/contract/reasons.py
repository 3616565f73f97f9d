"""Every `reason` of a condition, in one list; the messages beside them tell the reader what to do."""

from __future__ import annotations

from enum import StrEnum


class Type(StrEnum):
    """Types of conditions. `Ready`, `Reconciling` and `Stalled` are kstatus's; the kernel writes them."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    SCHEDULED = "Scheduled"
    INSTANCE_READY = "InstanceReady"
    VOLUMES_READY = "VolumesReady"
    NETWORK_READY = "NetworkReady"
    BOUND = "Bound"
    ATTACHED = "Attached"
    PROVISIONED = "Provisioned"
    PROGRAMMED = "Programmed"
    REALISED = "Realised"
    RELEASED = "Released"
    SOURCE_NAT = "SourceNAT"
    REACHABLE = "Reachable"
    ACCEPTED = "Accepted"
    SUCCEEDED = "Succeeded"
    RESTART_REQUIRED = "RestartRequired"
    CAPTURED = "Captured"
    REVERTED = "Reverted"
    MIGRATING = "Migrating"
    CONNECTED = "Connected"


class Reason(StrEnum):
    """Why a condition is as it is."""

    # Going well.
    AS_SPECIFIED = "AsSpecified"
    RUNNING = "Running"
    STOPPED = "Stopped"
    PAUSED = "Paused"
    DESTROYED = "Destroyed"
    IN_USE = "InUse"
    RELEASED = "Released"
    HELD = "Held"
    SUCCEEDED = "Succeeded"
    CAPTURED = "Captured"
    AGENTS_BEATING = "AgentsBeating"
    CONNECTED = "Connected"
    CLOSED = "Closed"

    # On the way: nobody needs to do anything.
    PROGRESSING = "Progressing"
    PROVISIONING = "Provisioning"
    IMPORTING = "Importing"
    UPLOADING = "Uploading"
    UNUSED = "Unused"
    STARTING = "Starting"
    STOPPING = "Stopping"
    ATTACHING = "Attaching"
    DETACHING = "Detaching"
    GROWING = "Growing"
    MOVING = "Moving"
    DELETING = "Deleting"
    WAITING_FOR_HOST = "WaitingForHost"
    WAITING_FOR_VOLUMES = "WaitingForVolumes"
    WAITING_FOR_NETWORK = "WaitingForNetwork"
    WAITING_FOR_IMAGE = "WaitingForImage"
    WAITING_FOR_FIRST_CONSUMER = "WaitingForFirstConsumer"
    WAITING_FOR_FLOW = "WaitingForFlow"
    WAITING_FOR_DOMAIN = "WaitingForDomain"
    WAITING_FOR_NAMESPACE = "WaitingForNamespace"
    WAITING_FOR_MIGRATION = "WaitingForMigration"
    WAITING_FOR_SNAPSHOT = "WaitingForSnapshot"
    MIGRATING = "Migrating"
    RETRYING = "Retrying"
    CAPTURING = "Capturing"
    COPYING = "Copying"
    REVERTING = "Reverting"
    CONNECTING = "Connecting"

    # Somebody has to do something; it heals by itself once that is done.
    OFFERING_NOT_FOUND = "OfferingNotFound"
    IMAGE_NOT_FOUND = "ImageNotFound"
    NETWORK_NOT_FOUND = "NetworkNotFound"
    VOLUME_NOT_FOUND = "VolumeNotFound"
    VIRTUAL_MACHINE_NOT_FOUND = "VirtualMachineNotFound"
    AFFINITY_GROUP_NOT_FOUND = "AffinityGroupNotFound"
    SNAPSHOT_NOT_FOUND = "SnapshotNotFound"
    BACKUP_NOT_FOUND = "BackupNotFound"
    IMAGE_STORE_NOT_FOUND = "ImageStoreNotFound"
    IMAGE_STORE_UNREACHABLE = "ImageStoreUnreachable"
    GUEST_NOT_QUIESCED = "GuestNotQuiesced"
    MOMENT_PASSED = "MomentPassed"
    SNAPSHOTS_MISSED = "SnapshotsMissed"
    KEY_PAIR_NOT_FOUND = "KeyPairNotFound"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - no password, but the want of a Secret
    SECRETS_FORBIDDEN = "SecretsForbidden"
    ADDRESS_REFUSED = "AddressRefused"
    DELIVERY_FAILS = "DeliveryFails"
    ZONE_NOT_FOUND = "ZoneNotFound"
    RACK_NOT_FOUND = "RackNotFound"
    HOST_GROUP_NOT_FOUND = "HostGroupNotFound"
    NODE_GONE = "NodeGone"
    NAME_TAKEN = "NameTaken"
    NO_HOST_FITS = "NoHostFits"
    NO_POOL_FITS = "NoPoolFits"
    LIMIT_EXCEEDED = "LimitExceeded"
    HOST_FULL = "HostFull"
    NO_ADDRESS_LEFT = "NoAddressLeft"
    NO_SEGMENT_LEFT = "NoSegmentLeft"
    NO_PUBLIC_ADDRESS = "NoPublicAddress"
    ADDRESS_IN_USE = "AddressInUse"
    CIDR_OVERLAP = "CIDROverlap"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    SOURCE_REFUSED = "SourceRefused"
    UNSAFE_IMAGE = "UnsafeImage"
    IMAGE_TOO_LARGE = "ImageTooLarge"
    FILE_LOST = "FileLost"
    SIZE_TOO_SMALL = "SizeTooSmall"
    POOL_FULL = "PoolFull"
    POOL_OFFLINE = "PoolOffline"
    DETACH_REFUSED = "DetachRefused"
    STILL_ATTACHED = "StillAttached"
    STILL_IN_USE = "StillInUse"
    RESTART_REQUIRED = "RestartRequired"
    DELETE_PROTECTED = "DeleteProtected"
    HOST_DOWN = "HostDown"
    HOST_MAINTENANCE = "HostMaintenance"
    AGENT_SILENT = "AgentSilent"
    HYPERVISOR_ERROR = "HypervisorError"
    NETWORK_ERROR = "NetworkError"
    STORAGE_ERROR = "StorageError"
    CRASHED = "Crashed"

    # Final, until the user changes the spec.
    INVALID = "Invalid"
    UNSUPPORTED = "Unsupported"
    CANCELLED = "Cancelled"
    SUSPENDED = "Suspended"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    FAILED = "Failed"
    INTERNAL_ERROR = "InternalError"


ON_THE_WAY = frozenset(
    {
        Reason.PROGRESSING,
        Reason.PROVISIONING,
        Reason.IMPORTING,
        Reason.UPLOADING,
        Reason.STARTING,
        Reason.STOPPING,
        Reason.ATTACHING,
        Reason.DETACHING,
        Reason.GROWING,
        Reason.MOVING,
        Reason.DELETING,
        Reason.WAITING_FOR_HOST,
        Reason.WAITING_FOR_VOLUMES,
        Reason.WAITING_FOR_NETWORK,
        Reason.WAITING_FOR_IMAGE,
        Reason.WAITING_FOR_FIRST_CONSUMER,
        Reason.WAITING_FOR_FLOW,
        Reason.WAITING_FOR_MIGRATION,
        Reason.WAITING_FOR_SNAPSHOT,
        Reason.MIGRATING,
        Reason.RETRYING,
        Reason.CAPTURING,
        Reason.COPYING,
        Reason.REVERTING,
        Reason.CONNECTING,
    }
)
"""Reasons for which nobody needs to do anything."""
