# Compiler cache, linker, warnings and sanitizers: everything that holds for all of our own code.

find_program(WEIR_CCACHE ccache)
if(WEIR_CCACHE)
  # Paths below the checkout are hashed as relative ones, so that every clone shares what another has compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=true
      CCACHE_SLOPPINESS=time_macros,pch_defines ${WEIR_CCACHE})
endif()

find_program(WEIR_MOLD mold)
if(WEIR_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# Two compilations and one link at a time fit a machine of two cores.
set_property(GLOBAL PROPERTY JOB_POOLS compile_pool=2 link_pool=1)
set(CMAKE_JOB_POOL_LINK link_pool)

# It defines a macro that parsed headers depend on, so every file has it.
add_compile_options(-pthread)

set(WEIR_WARNINGS
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports these on correct code of libstdc++ and Abseil once inlined (GCC bugs 105329, 105651, 107852).
  list(APPEND WEIR_WARNINGS -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread
       -Wno-array-bounds -Wno-maybe-uninitialized)
else()
  # Clang reports std::get_temporary_buffer inside of libstdc++ 12's std::stable_sort.
  list(APPEND WEIR_WARNINGS -Wthread-safety -Wno-deprecated-declarations)
endif()

if(WEIR_SANITIZER)
  add_compile_options(-fsanitize=${WEIR_SANITIZER} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${WEIR_SANITIZER})
  if(WEIR_SANITIZER MATCHES "thread")
    # ThreadSanitizer knows no fences; Asio's order nothing that its locks do not order already.
    add_compile_definitions(BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
endif()

if(WEIR_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
