#include "runtime/graph/internal/elf_file.h"

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
#else
#error "add this machine's ELF number"
#endif

absl::Status NotALibrary(std::string_view what) {
  return absl::InvalidArgumentError(StrCat("not a job library: ", what));
}

bool Contains(std::string_view content, uint64_t offset, uint64_t size) {
  return offset <= content.size() && size <= content.size() - offset;
}

// Copies the T at `offset`, which need not be aligned there.
template <class T>
std::optional<T> ReadAt(std::string_view content, uint64_t offset) {
  if (!Contains(content, offset, sizeof(T))) return std::nullopt;
  T value;
  std::memcpy(&value, content.data() + offset, sizeof(T));
  return value;
}

// Reads a table of `count` entries that are `stride` bytes apart; nothing if it leaves the content.
template <class T>
std::optional<std::vector<T>> ReadTable(std::string_view content, uint64_t offset, uint64_t count,
                                        uint64_t stride) {
  if (stride < sizeof(T) || count > content.size() / stride ||
      !Contains(content, offset, count * stride)) {
    return std::nullopt;
  }
  std::vector<T> table(count);
  for (uint64_t i = 0; i < count; ++i) {
    std::memcpy(&table[i], content.data() + offset + i * stride, sizeof(T));
  }
  return table;
}

struct Tables {
  std::vector<Elf64_Phdr> segments;
  std::vector<Elf64_Shdr> sections;
};

absl::StatusOr<Tables> ReadTables(std::string_view content) {
  const std::optional<Elf64_Ehdr> header = ReadAt<Elf64_Ehdr>(content, 0);
  if (!header.has_value() || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) {
    return NotALibrary("the file has no ELF header; build it with weir_add_job()");
  }
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
      header->e_machine != kMachine) {
    return NotALibrary("the file was built for another machine");
  }
  if (header->e_type != ET_DYN) return NotALibrary("the file is no shared library");
  auto segments =
      ReadTable<Elf64_Phdr>(content, header->e_phoff, header->e_phnum, header->e_phentsize);
  auto sections =
      ReadTable<Elf64_Shdr>(content, header->e_shoff, header->e_shnum, header->e_shentsize);
  if (!segments.has_value() || !sections.has_value()) return NotALibrary("the file is cut short");
  return Tables{*std::move(segments), *std::move(sections)};
}

// Returns where the byte at `address` of the loaded library lies in the file.
std::optional<uint64_t> OffsetOf(const std::vector<Elf64_Phdr>& segments, uint64_t address) {
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
        address - segment.p_vaddr < segment.p_filesz) {
      return segment.p_offset + (address - segment.p_vaddr);
    }
  }
  return std::nullopt;
}

// Returns the text up to a zero byte; nothing if there is none.
std::optional<std::string_view> TextAt(std::string_view content, uint64_t offset) {
  if (offset >= content.size()) return std::nullopt;
  const std::string_view rest = content.substr(offset);
  const size_t end = rest.find('\0');
  if (end == std::string_view::npos) return std::nullopt;
  return rest.substr(0, end);
}

}  // namespace

absl::Status CheckSharedLibrary(std::string_view content) {
  ASSIGN_OR_RETURN(const Tables tables, ReadTables(content));
  bool has_dynamic_segment = false;
  for (const Elf64_Phdr& segment : tables.segments) {
    if (!Contains(content, segment.p_offset, segment.p_filesz)) {
      return NotALibrary("the file is cut short");
    }
    has_dynamic_segment |= segment.p_type == PT_DYNAMIC;
  }
  for (const Elf64_Shdr& section : tables.sections) {
    if (section.sh_type != SHT_NOBITS && !Contains(content, section.sh_offset, section.sh_size)) {
      return NotALibrary("the file is cut short");
    }
  }
  if (!has_dynamic_segment) return NotALibrary("the file has no dynamic segment");
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> ReadExportedText(std::string_view content,
                                                            std::string_view symbol) {
  ASSIGN_OR_RETURN(const Tables tables, ReadTables(content));
  for (const Elf64_Shdr& section : tables.sections) {
    if (section.sh_type != SHT_DYNSYM || section.sh_link >= tables.sections.size()) continue;
    const uint64_t names = tables.sections[section.sh_link].sh_offset;
    const auto symbols = ReadTable<Elf64_Sym>(
        content, section.sh_offset, section.sh_size / sizeof(Elf64_Sym), sizeof(Elf64_Sym));
    if (!symbols.has_value()) return NotALibrary("the file is cut short");
    for (const Elf64_Sym& entry : *symbols) {
      if (entry.st_shndx == SHN_UNDEF || TextAt(content, names + entry.st_name) != symbol) continue;
      const std::optional<uint64_t> offset = OffsetOf(tables.segments, entry.st_value);
      const std::optional<std::string_view> text =
          offset.has_value() ? TextAt(content, *offset) : std::nullopt;
      if (!text.has_value()) {
        return NotALibrary(StrCat("symbol ", symbol, " lies outside of the file"));
      }
      return std::optional<std::string>(*text);
    }
  }
  return std::optional<std::string>();
}

}  // namespace weir::internal
