#include "jobs/sigma/parser/internal/windows_event_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/sigma/parser/internal/windows_event_fields.h"

namespace weir::sigma {
namespace {

using ::testing::Ge;

std::string Read(std::string_view text) {
  std::string json;
  AppendJson(ParseWindowsEventText(text), &json);
  return json;
}

TEST(WindowsEventTextTest, GivesFieldsOfSectionsTheNamesOfTheXml) {
  EXPECT_EQ(Read("01/02/2026 10:00:00 AM\r\n"
                 "LogName=Security\r\n"
                 "EventCode=4624\r\n"
                 "ComputerName=dc1.example.org\r\n"
                 "Message=An account was successfully logged on.\r\n"
                 "\r\n"
                 "Subject:\r\n"
                 "\tSecurity ID:\t\tS-1-5-18\r\n"
                 "\tAccount Name:\t\tDC1$\r\n"
                 "\r\n"
                 "Logon Type:\t\t\t3\r\n"
                 "\r\n"
                 "New Logon:\r\n"
                 "\tAccount Name:\t\talice\r\n"
                 "\tNo Such Label:\t\tdropped\r\n"
                 "\tLogon GUID:\t\t{0000-00}\r\n"
                 "\r\n"
                 "Detailed Authentication Information:\r\n"
                 "\tPackage Name (NTLM only):\t-\r\n"
                 "\tKey Length:\t\t128\r\n"),
            R"({"LogName":"Security","EventID":"4624","ComputerName":"dc1.example.org",)"
            R"("Message":"An account was successfully logged on.","SubjectUserSid":"S-1-5-18",)"
            R"("SubjectUserName":"DC1$","Logon Type":"3","TargetUserName":"alice",)"
            R"("LogonGuid":"{0000-00}","LmPackageName":"-","KeyLength":"128"})");
}

TEST(WindowsEventTextTest, SkipsTheTimeAndOwesNothingElse) {
  EXPECT_EQ(Read(""), "{}");
  EXPECT_EQ(Read("EventCode=1"), "{}");
  EXPECT_EQ(Read("time\nnothing to go on with\n\n\n"), "{}");
}

TEST(WindowsEventTextTest, GoesOnWithAValueUntilABlankLine) {
  EXPECT_EQ(Read("time\nEventCode=4688\nMessage=one\ntwo\n  three\n\nfour\n"),
            R"({"EventID":"4688","Message":"one two three"})");
  EXPECT_EQ(Read("time\nEventCode=4673\nService Request Information:\n"
                 "\tPrivileges:\t\tSeTcbPrivilege\n\t\t\tSeDebugPrivilege\n"),
            R"({"EventID":"4673","PrivilegeList":"SeTcbPrivilege SeDebugPrivilege"})");
}

TEST(WindowsEventTextTest, AnUnindentedKeyClosesASection) {
  EXPECT_EQ(
      Read("time\nEventCode=4688\nSubject:\n\tAccount Name: bob\nSource: x\n\tLogon ID: 0x1\n"),
      R"({"EventID":"4688","SubjectUserName":"bob","Source":"x","Logon ID":"0x1"})");
}

TEST(WindowsEventTextTest, ASectionOfAnUnknownEventIsDropped) {
  EXPECT_EQ(Read("time\nEventCode=9999\nSubject:\n\tAccount Name: bob\n"), R"({"EventID":"9999"})");
}

TEST(WindowsEventTextTest, ValuesMayHoldSeparators) {
  EXPECT_EQ(Read("time\nEventCode=4688\nProcess Information:\n"
                 "\tProcess Command Line:\tcmd.exe /c set a=b: c\n"),
            R"({"EventID":"4688","CommandLine":"cmd.exe /c set a=b: c"})");
}

TEST(WindowsEventTextTest, KnowsTheCommonAuditEvents) {
  const WindowsEventFieldCounts counts = CountWindowsEventFields();
  EXPECT_THAT(counts.events, Ge(102U));
  EXPECT_THAT(counts.fields, Ge(934U));
  EXPECT_EQ(WindowsEventField("4625", "Failure Information", "Sub Status"), "SubStatus");
  EXPECT_EQ(WindowsEventField("4634", "Subject", "Logon ID"), "TargetLogonId");
  EXPECT_EQ(WindowsEventField("4624", "Subject", "Logon ID"), "SubjectLogonId");
  EXPECT_EQ(WindowsEventField("5145", "Share Information", "Relative Target Name"),
            "RelativeTargetName");
  EXPECT_EQ(WindowsEventField("5136", "Attribute", "LDAP Display Name"),
            "AttributeLDAPDisplayName");
  EXPECT_EQ(WindowsEventField("4769", "Additional Information", "Ticket Encryption Type"),
            "TicketEncryptionType");
  EXPECT_EQ(WindowsEventField("4624", "subject", "Logon ID"), "");
}

}  // namespace
}  // namespace weir::sigma
