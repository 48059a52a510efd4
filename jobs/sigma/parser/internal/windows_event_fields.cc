#include "jobs/sigma/parser/internal/windows_event_fields.h"

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

/// What the text of some events shows in one section, and what the XML of the same events calls it:
/// `Label=Name|…`. Source: the descriptions of security audit events in Microsoft's documentation
/// of Windows auditing, which show text and XML of each event.
struct SectionFields {
  std::string_view events;  ///< With blanks between.
  std::string_view section;
  std::string_view fields;
};

constexpr std::string_view kSubject =
    "Security ID=SubjectUserSid|Account Name=SubjectUserName|Account Domain=SubjectDomainName|"
    "Logon ID=SubjectLogonId";
constexpr std::string_view kTarget =
    "Security ID=TargetSid|Account Name=TargetUserName|Account Domain=TargetDomainName";
constexpr std::string_view kSession =
    "Security ID=TargetUserSid|Account Name=TargetUserName|Account Domain=TargetDomainName|"
    "Logon ID=TargetLogonId";
constexpr std::string_view kGroup =
    "Security ID=TargetSid|Group Name=TargetUserName|Group Domain=TargetDomainName";
constexpr std::string_view kGroupName =
    "Security ID=TargetSid|Account Name=TargetUserName|Account Domain=TargetDomainName";
constexpr std::string_view kMember = "Security ID=MemberSid|Account Name=MemberName";
constexpr std::string_view kUserAttributes =
    "SAM Account Name=SamAccountName|Display Name=DisplayName|"
    "User Principal Name=UserPrincipalName|Home Directory=HomeDirectory|Home Drive=HomePath|"
    "Script Path=ScriptPath|Profile Path=ProfilePath|User Workstations=UserWorkstations|"
    "Password Last Set=PasswordLastSet|Account Expires=AccountExpires|"
    "Primary Group ID=PrimaryGroupId|Allowed To Delegate To=AllowedToDelegateTo|"
    "AllowedToDelegateTo=AllowedToDelegateTo|Old UAC Value=OldUacValue|New UAC Value=NewUacValue|"
    "User Account Control=UserAccountControl|User Parameters=UserParameters|"
    "SID History=SidHistory|Logon Hours=LogonHours";
constexpr std::string_view kComputerAttributes =
    "SAM Account Name=SamAccountName|Display Name=DisplayName|"
    "User Principal Name=UserPrincipalName|Home Directory=HomeDirectory|Home Drive=HomePath|"
    "Script Path=ScriptPath|Profile Path=ProfilePath|User Workstations=UserWorkstations|"
    "Password Last Set=PasswordLastSet|Account Expires=AccountExpires|"
    "Primary Group ID=PrimaryGroupId|AllowedToDelegateTo=AllowedToDelegateTo|"
    "Old UAC Value=OldUacValue|New UAC Value=NewUacValue|User Account Control=UserAccountControl|"
    "User Parameters=UserParameters|SID History=SidHistory|Logon Hours=LogonHours|"
    "DNS Host Name=DnsHostName|Service Principal Names=ServicePrincipalNames";
constexpr std::string_view kGroupAttributes =
    "SAM Account Name=SamAccountName|SID History=SidHistory";
constexpr std::string_view kObject =
    "Object Server=ObjectServer|Object Type=ObjectType|Object Name=ObjectName|Handle ID=HandleId|"
    "Resource Attributes=ResourceAttributes";
constexpr std::string_view kProcess = "Process ID=ProcessId|Process Name=ProcessName";
constexpr std::string_view kAccess =
    "Transaction ID=TransactionId|Accesses=AccessList|Access Reasons=AccessReason|"
    "Access Mask=AccessMask|Privileges Used for Access Check=PrivilegeList|"
    "Restricted SID Count=RestrictedSidCount|Properties=Properties";
constexpr std::string_view kTicketNetwork =
    "Client Address=IpAddress|Client Port=IpPort|Advertized Etypes=ClientAdvertizedEncryptionTypes";
constexpr std::string_view kFilteringNetwork =
    "Direction=Direction|Source Address=SourceAddress|Source Port=SourcePort|"
    "Destination Address=DestAddress|Destination Port=DestPort|Protocol=Protocol|"
    "Interface Index=InterfaceIndex";
constexpr std::string_view kFilter =
    "Filter Origin=FilterOrigin|Filter Run-Time ID=FilterRTID|Layer Name=LayerName|"
    "Layer Run-Time ID=LayerRTID|Remote User ID=RemoteUserID|Remote Machine ID=RemoteMachineID";
constexpr std::string_view kApplication = "Process ID=ProcessId|Application Name=Application";
constexpr std::string_view kFirewallRule = "Rule ID=RuleId|Rule Name=RuleName";
constexpr std::string_view kTask =
    "Task Name=TaskName|Task Content=TaskContent|Task New Content=TaskContentNew";
constexpr std::string_view kDevice =
    "Device ID=DeviceId|Device Name=DeviceDescription|Class ID=ClassId|Class Name=ClassName|"
    "Vendor IDs=VendorIds|Compatible IDs=CompatibleIds|Location Information=LocationInformation|"
    "Hardware IDs=HardwareIds";
constexpr std::string_view kDirectoryObject = "DN=ObjectDN|GUID=ObjectGUID|Class=ObjectClass";
constexpr std::string_view kDirectoryOperation =
    "Correlation ID=OpCorrelationID|Application Correlation ID=AppCorrelationID|"
    "Type=OperationType|Tree Delete=TreeDelete";

constexpr SectionFields kFields[] = {
    {"1102", "Subject", kSubject},
    {"4616 4624 4625 4648 4656 4657 4658 4660 4661 4662 4663 4664 4670 4672 4673 4674 4675 4688 "
     "4689 4690 4691 4692 4693 4694 4695 4696 4697 4698 4699 4700 4701 4702 4703 4704 4705 4706 "
     "4707 4713 4715 4716 4717 4718 4719 4720 4722 4723 4724 4725 4726 4727 4728 4729 4730 4731 "
     "4732 4733 4734 4735 4737 4738 4739 4740 4741 4742 4743 4744 4745 4746 4747 4748 4749 4750 "
     "4751 4752 4753 4754 4755 4756 4757 4758 4759 4760 4761 4762 4763 4764 4765 4766 4767 4780 "
     "4781 4782 4793 4794 4797 4798 4799 4817 4865 4866 4867 4904 4905 4907 4911 4912 4913 4964 "
     "4985 5058 5059 5061 5136 5137 5138 5139 5140 5141 5142 5143 5144 5145 5168 5376 5377 5378 "
     "5379 5381 5382 5632 5633 6416 6419 6420 6421 6422 6423 6424",
     "Subject", kSubject},
    {"4648", "Subject", "Logon GUID=LogonGuid"},

    // Logon and logoff.
    {"4624", "Logon Information",
     "Logon Type=LogonType|Restricted Admin Mode=RestrictedAdminMode|"
     "Virtual Account=VirtualAccount|Elevated Token=ElevatedToken|"
     "Remote Credential Guard=RemoteCredentialGuard"},
    {"4624", "New Logon", kSession},
    {"4624", "New Logon",
     "Linked Logon ID=TargetLinkedLogonId|Network Account Name=TargetOutboundUserName|"
     "Network Account Domain=TargetOutboundDomainName|Logon GUID=LogonGuid"},
    {"4624 4625", "Process Information",
     "Caller Process ID=ProcessId|Caller Process Name=ProcessName"},
    {"4624", "Process Information", kProcess},
    {"4624 4625", "Network Information",
     "Workstation Name=WorkstationName|Source Network Address=IpAddress|Source Port=IpPort"},
    {"4624 4625", "Detailed Authentication Information",
     "Logon Process=LogonProcessName|Authentication Package=AuthenticationPackageName|"
     "Transited Services=TransmittedServices|Package Name (NTLM only)=LmPackageName|"
     "Key Length=KeyLength"},
    {"4625", "Account For Which Logon Failed",
     "Security ID=TargetUserSid|Account Name=TargetUserName|Account Domain=TargetDomainName"},
    {"4625", "Failure Information",
     "Failure Reason=FailureReason|Status=Status|Sub Status=SubStatus"},
    {"4634 4647", "Subject", kSession},
    {"4648", "Account Whose Credentials Were Used",
     "Account Name=TargetUserName|Account Domain=TargetDomainName|Logon GUID=TargetLogonGuid"},
    {"4648", "Target Server",
     "Target Server Name=TargetServerName|Additional Information=TargetInfo"},
    {"4648", "Process Information", kProcess},
    {"4648", "Network Information", "Network Address=IpAddress|Port=IpPort"},
    {"4675", "Target Account", kTarget},
    {"4778 4779", "Subject",
     "Account Name=AccountName|Account Domain=AccountDomain|Logon ID=LogonID"},
    {"4778 4779", "Session", "Session Name=SessionName"},
    {"4778 4779", "Additional Information", "Client Name=ClientName|Client Address=ClientAddress"},
    {"4800 4801 4802 4803", "Subject", kSession},
    {"4800 4801 4802 4803", "Subject", "Session ID=SessionId"},
    {"4964", "Subject", "Logon GUID=LogonGuid"},
    {"4964", "New Logon", kSession},
    {"4964", "New Logon", "Logon GUID=TargetLogonGuid|Special Groups Assigned=SidList"},
    {"5632 5633", "Subject", "Account Name=SubjectUserName|Account Domain=SubjectDomainName"},
    {"5632", "Network Information",
     "Name (SSID)=SSID|Interface GUID=IntfGuid|Local MAC Address=LocalMac|"
     "Peer MAC Address=PeerMac"},
    {"5632", "Additional Information",
     "Reason Code=ReasonCode|Error Code=ErrorCode|EAP Reason Code=EAPReasonCode|"
     "EAP Root Cause String=EapRootCauseString|EAP Error Code=EAPErrorCode"},
    {"5633", "Interface", "Name=InterfaceName"},
    {"5633", "Additional Information", "Reason Code=ReasonCode|Error Code=ErrorCode"},

    // Kerberos and NTLM.
    {"4768", "Account Information",
     "Account Name=TargetUserName|Supplied Realm Name=TargetDomainName|User ID=TargetSid"},
    {"4768 4769", "Service Information", "Service Name=ServiceName|Service ID=ServiceSid"},
    {"4768 4769 4770 4771", "Network Information", kTicketNetwork},
    {"4768", "Additional Information",
     "Ticket Options=TicketOptions|Result Code=Status|Ticket Encryption Type=TicketEncryptionType|"
     "Pre-Authentication Type=PreAuthType"},
    {"4768 4771", "Certificate Information",
     "Certificate Issuer Name=CertIssuerName|Certificate Serial Number=CertSerialNumber|"
     "Certificate Thumbprint=CertThumbprint"},
    {"4769 4770", "Account Information",
     "Account Name=TargetUserName|Account Domain=TargetDomainName|Logon GUID=LogonGuid"},
    {"4770 4771", "Service Information", "Service Name=ServiceName|Service ID=ServiceSid"},
    {"4769 4770", "Additional Information",
     "Ticket Options=TicketOptions|Ticket Encryption Type=TicketEncryptionType|"
     "Failure Code=Status|Transited Services=TransmittedServices"},
    {"4771", "Account Information", "Security ID=TargetSid|Account Name=TargetUserName"},
    {"4771", "Additional Information",
     "Ticket Options=TicketOptions|Failure Code=Status|Pre-Authentication Type=PreAuthType"},

    // Objects, their handles and permissions.
    {"4656 4658 4660 4663", "Object", kObject},
    {"4661 4662 4670 4674 4907 4911 4913", "Object", kObject},
    {"4656 4658 4660 4661 4663 4670 4674 4907 4911 4913 4985", "Process Information", kProcess},
    {"4656 4661 4663", "Access Request Information", kAccess},
    {"4657", "Object",
     "Object Name=ObjectName|Object Value Name=ObjectValueName|Handle ID=HandleId|"
     "Operation Type=OperationType"},
    {"4657", "Process Information", kProcess},
    {"4657", "Change Information",
     "Old Value Type=OldValueType|Old Value=OldValue|New Value Type=NewValueType|"
     "New Value=NewValue"},
    {"4660", "Process Information", "Transaction ID=TransactionId"},
    {"4662", "Operation",
     "Operation Type=OperationType|Accesses=AccessList|Access Mask=AccessMask|"
     "Properties=Properties"},
    {"4662", "Additional Information", "Parameter 1=AdditionalInfo|Parameter 2=AdditionalInfo2"},
    {"4664", "Link Information",
     "File Name=FileName|Link Name=LinkName|Transaction ID=TransactionId"},
    {"4670", "Permissions Change",
     "Original Security Descriptor=OldSd|New Security Descriptor=NewSd"},
    {"4907 4911", "Auditing Settings",
     "Original Security Descriptor=OldSd|New Security Descriptor=NewSd"},
    {"4911", "Resource Attributes",
     "Original Security Descriptor=OldSd|New Security Descriptor=NewSd"},
    {"4913", "Central Policy ID",
     "Original Security Descriptor=OldSd|New Security Descriptor=NewSd"},
    {"4690", "Source Handle Information",
     "Source Handle ID=SourceHandleId|Source Process ID=SourceProcessId"},
    {"4690", "New Handle Information",
     "Target Handle ID=TargetHandleId|Target Process ID=TargetProcessId"},
    {"4691", "Object", "Object Type=ObjectType|Object Name=ObjectName"},
    {"4691", "Process Information", "Process ID=ProcessId"},
    {"4691", "Access Request Information", "Accesses=AccessList|Access Mask=AccessMask"},
    {"4985", "Transaction Information",
     "RM Transaction ID=TransactionId|New State=NewState|Resource Manager=ResourceManager"},

    // Privileges, processes, services, tasks.
    {"4673", "Service", "Server=ObjectServer|Service Name=Service"},
    {"4673 4674", "Process", kProcess},
    {"4673", "Service Request Information", "Privileges=PrivilegeList"},
    {"4674", "Requested Operation", "Desired Access=AccessMask|Privileges=PrivilegeList"},
    {"4688", "Creator Subject", kSubject},
    {"4688", "Target Subject", kSession},
    {"4688", "Process Information",
     "New Process ID=NewProcessId|New Process Name=NewProcessName|"
     "Token Elevation Type=TokenElevationType|Mandatory Label=MandatoryLabel|"
     "Creator Process ID=ProcessId|Creator Process Name=ParentProcessName|"
     "Process Command Line=CommandLine"},
    {"4689", "Process Information", kProcess},
    {"4689", "Process Information", "Exit Status=Status"},
    {"4692", "Key Information",
     "Key Identifier=MasterKeyId|Recovery Server=RecoveryServer|Recovery Key ID=RecoveryKeyId"},
    {"4692 4693", "Status Information", "Status Code=FailureReason"},
    {"4693", "Key Information",
     "Key Identifier=MasterKeyId|Recovery Reason=RecoveryReason|Recovery Server=RecoveryServer|"
     "Recovery Key ID=RecoveryKeyId"},
    {"4694 4695", "Protected Data",
     "Data Description=DataDescription|Key Identifier=MasterKeyId|"
     "Protected Data Flags=ProtectedDataFlags|Protection Algorithms=CryptoAlgorithms"},
    {"4694 4695", "Status Information", "Status Code=FailureReason"},
    {"4696", "Process Information", kProcess},
    {"4696", "Target Process",
     "Target Process ID=TargetProcessId|Target Process Name=TargetProcessName"},
    {"4696", "New Token Information", kSession},
    {"4697", "Service Information",
     "Service Name=ServiceName|Service File Name=ServiceFileName|Service Type=ServiceType|"
     "Service Start Type=ServiceStartType|Service Account=ServiceAccount"},
    {"4698 4699 4700 4701 4702", "Task Information", kTask},
    {"4698 4699 4700 4701 4702", "Other Information",
     "ProcessCreationTime=ClientProcessStartKey|ClientProcessId=ClientProcessId|"
     "ParentProcessId=ParentProcessId|FQDN=FQDN"},
    {"4703", "Target Account", kSession},
    {"4703", "Process Information", kProcess},
    {"4616", "Process Information", kProcess},
    {"4616", "Previous Time", "Date=PreviousDate|Time=PreviousTime"},
    {"4616", "New Time", "Date=NewDate|Time=NewTime"},

    // Policies and rights.
    {"4704 4705", "Target Account", "Account Name=TargetSid"},
    {"4704", "New Right", "User Right=PrivilegeList"},
    {"4705", "Removed Right", "User Right=PrivilegeList"},
    {"4717 4718", "Account Modified", "Account Name=TargetSid"},
    {"4717", "Access Granted", "Access Right=AccessGranted"},
    {"4718", "Access Removed", "Access Right=AccessRemoved"},
    {"4706 4707", "Trusted Domain", "Domain Name=DomainName|Domain ID=DomainSid"},
    {"4706 4716", "Trust Information",
     "Trust Type=TdoType|Trust Direction=TdoDirection|Trust Attributes=TdoAttributes|"
     "SID Filtering=SidFilteringEnabled"},
    {"4707", "Domain Information", "Domain Name=DomainName|Domain ID=DomainSid"},
    {"4716", "Trusted Domain", "Domain Name=DomainName|Domain ID=DomainSid"},
    {"4716", "New Trust Information",
     "Trust Type=TdoType|Trust Direction=TdoDirection|Trust Attributes=TdoAttributes|"
     "SID Filtering=SidFilteringEnabled"},
    {"4715", "Audit Policy Change",
     "Original Security Descriptor=OldSd|New Security Descriptor=NewSd"},
    {"4719", "Audit Policy Change",
     "Category=CategoryId|Subcategory=SubcategoryId|Subcategory GUID=SubcategoryGuid|"
     "Changes=AuditPolicyChanges"},
    {"4912", "Policy For Account", "Security ID=TargetUserSid"},
    {"4912", "Policy Change Details",
     "Category=CategoryId|Subcategory=SubcategoryId|Subcategory GUID=SubcategoryGuid|"
     "Changes=AuditPolicyChanges"},
    {"4817", "Object", "Object Server=ObjectServer|Object Type=ObjectType|Object Name=ObjectName"},
    {"4817", "Auditing Settings",
     "Original Security Descriptor=OldSd|New Security Descriptor=NewSd"},
    {"4865 4866 4867", "Trust Information",
     "Forest Root=ForestRoot|Forest Root SID=ForestRootSid|Operation ID=OperationId|"
     "Entry Type=EntryType|Flags=Flags|Top Level Name=TopLevelName|DNS Name=DnsName|"
     "NetBIOS Name=NetbiosName|Domain SID=DomainSid"},
    {"4902", "Number of Elements", "Number of Elements=PuaCount"},
    {"4904 4905", "Process", kProcess},
    {"4904 4905", "Event Source", "Source Name=AuditSourceName|Event Source ID=EventSourceId"},
    {"4739", "Domain", "Domain Name=DomainName|Domain ID=DomainSid"},
    {"4739", "Changed Attributes",
     "Min. Password Age=MinPasswordAge|Max. Password Age=MaxPasswordAge|"
     "Force Logoff=ForceLogoff|Lockout Threshold=LockoutThreshold|"
     "Lockout Observation Window=LockoutObservationWindow|Lockout Duration=LockoutDuration|"
     "Password Properties=PasswordProperties|Min. Password Length=MinPasswordLength|"
     "Password History Length=PasswordHistoryLength|Machine Account Quota=MachineAccountQuota|"
     "Mixed Domain Mode=MixedDomainMode|Domain Behavior Version=DomainBehaviorVersion|"
     "OEM Information=OemInformation"},
    {"4739", "Additional Information", "Privileges=PrivilegeList"},

    // Accounts and groups.
    {"4720", "New Account", kTarget},
    {"4722 4723 4724 4725 4726 4738 4740 4767 4780 4797", "Target Account", kTarget},
    {"4720 4738", "Attributes", kUserAttributes},
    {"4738", "Changed Attributes", kUserAttributes},
    {"4720 4722 4723 4725 4726 4738 4741 4742 4743", "Additional Information",
     "Privileges=PrivilegeList"},
    {"4740", "Account That Was Locked Out", "Security ID=TargetSid|Account Name=TargetUserName"},
    {"4740", "Additional Information", "Caller Computer Name=TargetDomainName"},
    {"4741", "New Computer Account", kTarget},
    {"4741", "Attributes", kComputerAttributes},
    {"4742", "Computer Account That Was Changed", kTarget},
    {"4742", "Changed Attributes", kComputerAttributes},
    {"4743", "Target Computer", kTarget},
    {"4727 4731 4744 4749 4754 4759", "New Group", kGroup},
    {"4727 4731 4744 4749 4754 4759", "Attributes", kGroupAttributes},
    {"4728 4729 4732 4733 4746 4747 4751 4752 4756 4757 4761 4762", "Member", kMember},
    {"4728 4729 4732 4733 4746 4747 4751 4752 4756 4757 4761 4762", "Group", kGroup},
    {"4756 4757", "Group", kGroupName},
    {"4730 4734 4748 4753 4758 4763", "Deleted Group", kGroup},
    {"4730 4734 4735 4737 4745 4748 4750 4753 4755 4758 4760 4763 4764", "Group", kGroup},
    {"4735 4737 4745 4750 4755 4760", "Changed Attributes", kGroupAttributes},
    {"4764", "Change Type", "Change Type=GroupTypeChange"},
    {"4727 4728 4729 4730 4731 4732 4733 4734 4735 4737 4744 4745 4746 4747 4748 4749 4750 4751 "
     "4752 4753 4754 4755 4756 4757 4758 4759 4760 4761 4762 4763 4764",
     "Additional Information", "Privileges=PrivilegeList|Expiration time=MembershipExpirationTime"},
    {"4765 4766", "Target Account", kTarget},
    {"4765", "Source Account", "Security ID=SourceSid|Account Name=SourceUserName"},
    {"4766", "Source Account", "Account Name=SourceUserName"},
    {"4765 4766", "Additional Information", "Privileges=PrivilegeList|SID List=SidList"},
    {"4781", "Target Account",
     "Security ID=TargetSid|Account Domain=TargetDomainName|Old Account Name=OldTargetUserName|"
     "New Account Name=NewTargetUserName"},
    {"4781", "Additional Information", "Privileges=PrivilegeList"},
    {"4782", "Target Account", "Account Name=TargetUserName|Account Domain=TargetDomainName"},
    {"4793", "Additional Information",
     "Caller Workstation=Workstation|Provided Account Name (unauthenticated)=TargetUserName|"
     "Status Code=Status"},
    {"4794", "Additional Information", "Caller Workstation=Workstation|Status Code=Status"},
    {"4797", "Additional Information",
     "Caller Workstation=Workstation|Target Account Name=TargetUserName|"
     "Target Account Domain=TargetDomainName"},
    {"4798", "User", kTarget},
    {"4799", "Group", kGroup},
    {"4798 4799", "Process Information",
     "Process ID=CallerProcessId|Process Name=CallerProcessName"},

    // Directory service.
    {"5136 5137 5138 5139 5141", "Directory Service", "Name=DSName|Type=DSType"},
    {"5136 5137 5141", "Object", kDirectoryObject},
    {"5138 5139", "Object",
     "Old DN=OldObjectDN|New DN=NewObjectDN|GUID=ObjectGUID|Class=ObjectClass"},
    {"5136", "Attribute",
     "LDAP Display Name=AttributeLDAPDisplayName|Syntax (OID)=AttributeSyntaxOID|"
     "Value=AttributeValue"},
    {"5136 5137 5138 5139 5141", "Operation", kDirectoryOperation},

    // Shares and the network.
    {"5140 5145", "Network Information",
     "Object Type=ObjectType|Source Address=IpAddress|Source Port=IpPort"},
    {"5140 5145", "Share Information",
     "Share Name=ShareName|Share Path=ShareLocalPath|Relative Target Name=RelativeTargetName"},
    {"5140 5145", "Access Request Information",
     "Access Mask=AccessMask|Accesses=AccessList|Access Check Results=AccessReason"},
    {"5142 5144", "Share Information", "Share Name=ShareName|Share Path=ShareLocalPath"},
    {"5143", "Share Information",
     "Object Type=ObjectType|Share Name=ShareName|Share Path=ShareLocalPath|Old Remark=OldRemark|"
     "New Remark=NewRemark|Old MaxUsers=OldMaxUsers|New Maxusers=NewMaxUsers|"
     "Old ShareFlags=OldShareFlags|New ShareFlags=NewShareFlags|Old SD=OldSD|New SD=NewSD"},
    {"5168", "SPN", "SPN Name=SpnName|Error Code=ErrorCode"},
    {"5168", "Server Information",
     "Server Names=ServerNames|Configured Names=ConfiguredNames|IP Addresses=IpAddresses"},
    {"5031", "Application", "Application=Application|Profiles=Profiles"},
    {"5152 5153 5156 5157", "Application Information", kApplication},
    {"5152 5153 5156 5157", "Network Information", kFilteringNetwork},
    {"5152 5153 5156 5157", "Filter Information", kFilter},
    {"5154 5155 5158 5159", "Application Information", kApplication},
    {"5154 5155 5158 5159", "Network Information",
     "Source Address=SourceAddress|Source Port=SourcePort|Protocol=Protocol"},
    {"5154 5155 5158 5159", "Filter Information", kFilter},
    {"5150 5151", "Network Information",
     "Direction=Direction|Source Address=SourceAddress|Destination Address=DestAddress|"
     "EtherType=EtherType|VlanTag=VlanTag|vSwitch ID=VSwitchID|Source vSwitch "
     "Port=SourcevSwitchPort|"
     "Destination vSwitch Port=DestinationvSwitchPort"},
    {"5150 5151", "Filter Information", kFilter},
    {"4946 4947 4948", "Added Rule", kFirewallRule},
    {"4947", "Modified Rule", kFirewallRule},
    {"4948", "Deleted Rule", kFirewallRule},
    {"4950", "New Setting", "Type=SettingType|Value=SettingValue"},
    {"4951", "Rule", "ID=RuleId|Name=RuleName"},
    {"4952", "Ignored Rule", "ID=RuleId|Name=RuleName"},
    {"4953", "Rule", "ID=RuleId|Name=RuleName"},
    {"4953", "Error Information", "Reason=ReasonForRejection"},
    {"4957", "Rule Information", "ID=RuleId|Name=RuleName"},
    {"4957", "Error Information", "Reason=RuleAttr"},

    // Keys and credentials.
    {"5058 5059 5061", "Cryptographic Parameters",
     "Provider Name=ProviderName|Algorithm Name=AlgorithmName|Key Name=KeyName|Key Type=KeyType"},
    {"5058", "Key File Operation Information",
     "File Path=KeyFilePath|Operation=Operation|Return Code=ReturnCode"},
    {"5059", "Additional Information", "Operation=Operation|Return Code=ReturnCode"},
    {"5061", "Cryptographic Operation", "Operation=Operation|Return Code=ReturnCode"},
    {"5058 5059", "Process Information",
     "Process ID=ClientProcessId|Process Creation Time=ClientCreationTime"},
    {"5376 5377", "Subject", "Logon GUID=LogonGuid"},
    {"5376 5377", "Process Information",
     "Process ID=ClientProcessId|Process Creation Time=ProcessCreationTime"},
    {"5378", "Credential Delegation Information",
     "Security Package=Package|User's UPN=UserUPN|Target Server=TargetServer|"
     "Credential Type=CredType"},

    // Devices.
    {"6416 6419 6420 6421 6422 6423 6424", "Device", kDevice},
};

using FieldTable = std::unordered_map<std::string, std::string_view>;

std::string KeyOf(std::string_view event, std::string_view section, std::string_view label) {
  return StrCat(event, "\n", section, "\n", label);
}

FieldTable MakeTable() {
  FieldTable table;
  for (const SectionFields& rows : kFields) {
    for (const std::string_view event : StrSplit(rows.events, ' ')) {
      for (const std::string_view row : StrSplit(rows.fields, '|')) {
        const size_t equals = row.find('=');
        table[KeyOf(event, rows.section, row.substr(0, equals))] = row.substr(equals + 1);
      }
    }
  }
  return table;
}

const FieldTable& Table() {
  static const FieldTable table = MakeTable();
  return table;
}

}  // namespace

std::string_view WindowsEventField(std::string_view event_id, std::string_view section,
                                   std::string_view label) {
  const auto found = Table().find(KeyOf(event_id, section, label));
  return found == Table().end() ? std::string_view() : found->second;
}

WindowsEventFieldCounts CountWindowsEventFields() {
  std::unordered_set<std::string> events;
  for (const auto& [key, name] : Table()) events.insert(key.substr(0, key.find('\n')));
  return {events.size(), Table().size()};
}

}  // namespace weir::sigma
