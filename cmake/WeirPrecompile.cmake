# What nearly every file of ours includes from outside, parsed once: a third of a build's time.
#
# Not for Clang, whose parsed headers hold absolute paths: clones could not share by ccache what they compile with them.
# So the presets of Clang find a file that does not include what it uses.

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(weir_can_precompile ON)
else()
  set(weir_can_precompile OFF)
endif()
option(WEIR_PRECOMPILE "Parse the standard library, Abseil and GoogleTest once for all files" ${weir_can_precompile})

set(WEIR_PRECOMPILED_HEADERS
    <algorithm> <array> <atomic> <bit> <chrono> <cmath> <compare> <concepts> <cstddef> <cstdint> <cstdio> <cstdlib>
    <cstring> <deque> <exception> <filesystem> <functional> <initializer_list> <iterator> <limits> <list> <map> <memory>
    <mutex> <numeric> <optional> <queue> <random> <ratio> <set> <source_location> <span> <stdexcept> <string>
    <string_view> <system_error> <thread> <tuple> <type_traits> <typeinfo> <unordered_map> <unordered_set> <utility>
    <variant> <vector>
    <absl/functional/any_invocable.h> <absl/status/status.h> <absl/status/statusor.h> <absl/strings/cord.h>
    <absl/strings/string_view.h> <absl/time/time.h>)

# weir_precompiled(<name> [OPTIONS ...] [PRIVATE ...] HEADERS ...): makes the target that others take a parsed header from.
function(weir_precompiled name)
  cmake_parse_arguments(ARG "" "" "OPTIONS;PRIVATE;HEADERS" ${ARGN})
  file(WRITE ${CMAKE_BINARY_DIR}/precompiled/${name}.cc "")
  add_library(${name} OBJECT EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/precompiled/${name}.cc)
  target_compile_options(${name} PRIVATE ${WEIR_WARNINGS} ${ARG_OPTIONS})
  target_link_libraries(${name} PRIVATE ${ARG_PRIVATE})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
endfunction()

# weir_use_precompiled(<target> <name>): <target> is compiled with the header that <name> has parsed.
function(weir_use_precompiled target name)
  if(WEIR_PRECOMPILE)
    target_precompile_headers(${target} REUSE_FROM ${name})
  endif()
endfunction()

if(WEIR_PRECOMPILE)
  weir_precompiled(weir_precompiled PRIVATE absl::any_invocable absl::cord absl::statusor absl::time
                   HEADERS ${WEIR_PRECOMPILED_HEADERS})
endif()
