"""Why commands of CloudStack's core are missing here: what their callers are told, and the documentation too."""

from __future__ import annotations

from collections.abc import Mapping

_WHY = {
    "each disk of a snapshot of a virtual machine is a snapshot in listSnapshots: createVolume takes that": """
        createSnapshotFromVMSnapshot""",
    "public addresses beside the one that a network reaches the world with, and rules on them, are not there yet": """
        associateIpAddress disassociateIpAddress updateIpAddress createFirewallRule listFirewallRules
        deleteFirewallRule updateFirewallRule createEgressFirewallRule listEgressFirewallRules
        deleteEgressFirewallRule createPortForwardingRule updatePortForwardingRule deletePortForwardingRule
        enableStaticNat disableStaticNat createIpForwardingRule deleteIpForwardingRule""",
    "load balancers are not there yet": """
        createLoadBalancerRule listLoadBalancerRules updateLoadBalancerRule deleteLoadBalancerRule
        assignToLoadBalancerRule removeFromLoadBalancerRule listLoadBalancerRuleInstances createLBStickinessPolicy
        listLBStickinessPolicies deleteLBStickinessPolicy createLBHealthCheckPolicy listLBHealthCheckPolicies
        deleteLBHealthCheckPolicy uploadSslCert listSslCerts deleteSslCert assignCertToLoadBalancer
        removeCertFromLoadBalancer listInternalLoadBalancerElements configureInternalLoadBalancerElement""",
    "security groups are not there yet": """
        createSecurityGroup listSecurityGroups deleteSecurityGroup authorizeSecurityGroupIngress
        revokeSecurityGroupIngress authorizeSecurityGroupEgress revokeSecurityGroupEgress""",
    "an interface keeps its address for its life: add one with another, and remove the first": """
        updateVmNicIp""",
    "an interface has one address, and its host lets nothing pass from any other": """
        addIpToNic removeIpFromNic""",
    "a router is no virtual machine here: restartNetwork makes it anew": """
        startRouter stopRouter rebootRouter destroyRouter changeServiceForRouter""",
    "the API has no system virtual machines: what they do in CloudStack, pods do here": """
        startSystemVm stopSystemVm rebootSystemVm destroySystemVm""",
    "what belongs to an account is in its Kubernetes namespace, and nothing can leave a namespace": """
        assignVirtualMachine""",
    "settings are the chart's values": """
        updateConfiguration resetConfiguration""",
    "hosts join by their nodes' labels when an agent runs there, and their agents reconnect by themselves": """
        addHost reconnectHost""",
    "fencing of lost hosts is not there yet": """
        declareHostAsDegraded cancelHostAsDegraded""",
    "zones, pods, clusters and hosts cannot be one tenant's own yet": """
        dedicateZone dedicatePod dedicateCluster dedicateHost""",
    "hosts bring their physical network along: there is one for each zone, with every kind of traffic": """
        createPhysicalNetwork updatePhysicalNetwork deletePhysicalNetwork addTrafficType deleteTrafficType
        addNetworkServiceProvider updateNetworkServiceProvider configureVirtualRouterElement
        createStorageNetworkIpRange listStorageNetworkIpRange deleteStorageNetworkIpRange updateTrafficType
        updateStorageNetworkIpRange deleteNetworkServiceProvider""",
    "a volume that is destroyed is gone for good": """
        recoverVolume""",
    "the password of a virtual machine is told when it is set, by resetPasswordForVirtualMachine, and kept nowhere": """
        getVMPassword""",
    "VPCs are not there yet": """
        createVPC listVPCs updateVPC deleteVPC restartVPC createVPCOffering listVPCOfferings updateVPCOffering
        deleteVPCOffering createNetworkACLList listNetworkACLLists deleteNetworkACLList replaceNetworkACLList
        updateNetworkACLList createNetworkACL listNetworkACLs updateNetworkACLItem deleteNetworkACL createStaticRoute
        listStaticRoutes deleteStaticRoute createPrivateGateway listPrivateGateways deletePrivateGateway
        createRoutingFirewallRule""",
    "VPNs are not there yet": """
        addVpnUser listVpnUsers removeVpnUser createVpnGateway listVpnGateways deleteVpnGateway
        createVpnCustomerGateway listVpnCustomerGateways updateVpnCustomerGateway deleteVpnCustomerGateway
        createVpnConnection listVpnConnections deleteVpnConnection""",
    "load balancers within networks are not there yet": """
        createLoadBalancer deleteLoadBalancer listLoadBalancers updateLoadBalancer listInternalLoadBalancerVMs
        startInternalLoadBalancerVM stopInternalLoadBalancerVM""",
    "groups of virtual machines that grow and shrink by themselves are not there yet": """
        createCounter listCounters deleteCounter createCondition listConditions deleteCondition updateCondition
        createAutoScalePolicy listAutoScalePolicies updateAutoScalePolicy deleteAutoScalePolicy
        createAutoScaleVmProfile listAutoScaleVmProfiles updateAutoScaleVmProfile deleteAutoScaleVmProfile
        createAutoScaleVmGroup listAutoScaleVmGroups updateAutoScaleVmGroup deleteAutoScaleVmGroup
        enableAutoScaleVmGroup disableAutoScaleVmGroup""",
    "Kubernetes clusters within virtual machines are the work of tools such as Cluster API, not of this cloud": """
        addKubernetesSupportedVersion createKubernetesCluster deleteKubernetesCluster
        deleteKubernetesSupportedVersion getKubernetesClusterConfig listKubernetesClusters
        listKubernetesSupportedVersions scaleKubernetesCluster startKubernetesCluster stopKubernetesCluster
        updateKubernetesSupportedVersion upgradeKubernetesCluster addVirtualMachinesToKubernetesCluster
        removeVirtualMachinesFromKubernetesCluster deleteCniConfiguration listCniConfiguration
        registerCniConfiguration""",
    "quotas of money are not there: listUsageRecords has what a bill is made of": """
        quotaSummary quotaTariffCreate quotaTariffDelete quotaTariffList quotaTariffUpdate""",
    "people are not taken from LDAP": """
        linkAccountToLdap ldapCreateAccount""",
    "there is one region, which is the cluster": """
        addRegion removeRegion updateRegion""",
    "a volume leaves the cloud as a VolumeBackup in an ImageStore, by kubectl": """
        extractVolume""",
    "user data is given to a virtual machine, not to a template": """
        linkUserDataToTemplate""",
    "hypervisors are driven by agents of this cloud, not by extensions": """
        registerExtension""",
}

WHY: Mapping[str, str] = {name: reason for reason, listed in _WHY.items() for name in listed.split()}
"""By command."""


def reason(command: str) -> str:
    """Why a command is missing, or nothing more than that."""
    low = command.lower()
    return next((why for name, why in WHY.items() if name.lower() == low), "")
