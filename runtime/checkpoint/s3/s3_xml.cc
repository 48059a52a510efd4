#include "runtime/checkpoint/s3/s3_xml.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

std::string XmlUnescape(std::string_view text) {
  constexpr std::pair<std::string_view, char> kEntities[] = {
      {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
  std::string plain;
  while (!text.empty()) {
    size_t taken = 0;
    if (text.front() == '&') {
      for (const auto& [entity, c] : kEntities) {
        if (!text.starts_with(entity)) continue;
        plain += c;
        taken = entity.size();
        break;
      }
      const size_t end = text.find(';');
      int code = 0;
      if (taken == 0 && text.starts_with("&#") && end != text.npos &&
          absl::SimpleAtoi(ToAbsl(text.substr(2, end - 2)), &code) && code > 0 && code < 128) {
        plain += static_cast<char>(code);
        taken = end + 1;
      }
    }
    if (taken == 0) {
      plain += text.front();
      taken = 1;
    }
    text.remove_prefix(taken);
  }
  return plain;
}

}  // namespace

std::vector<std::string> XmlElements(std::string_view xml, std::string_view name) {
  std::vector<std::string> texts;
  const std::string end_tag = StrCat("</", name, ">");
  size_t position = 0;
  while ((position = xml.find('<', position)) != xml.npos) {
    ++position;
    if (!xml.substr(position).starts_with(name)) continue;
    const size_t after = position + name.size();
    if (after >= xml.size() || (xml[after] != '>' && xml[after] != ' ' && xml[after] != '/')) {
      continue;
    }
    const size_t open_end = xml.find('>', after);
    if (open_end == xml.npos) break;
    if (xml[open_end - 1] == '/') {
      texts.emplace_back();
      position = open_end;
      continue;
    }
    const size_t close = xml.find(end_tag, open_end);
    if (close == xml.npos) break;
    const std::string_view text = xml.substr(open_end + 1, close - open_end - 1);
    const bool has_elements = text.find('<') != text.npos;
    texts.push_back(has_elements ? std::string(text) : XmlUnescape(text));
    position = close + end_tag.size();
  }
  return texts;
}

std::string XmlElement(std::string_view xml, std::string_view name) {
  std::vector<std::string> texts = XmlElements(xml, name);
  return texts.empty() ? std::string() : std::move(texts.front());
}

std::string XmlEscape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

}  // namespace weir::internal
