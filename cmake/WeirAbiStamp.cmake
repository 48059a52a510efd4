# What a job library and the process that loads it must have in common: the public headers, the compiler, Abseil,
# the sanitizer. (Whether assertions are on is added by the header itself.)
#
# Included, it defines the target that makes `generated/weir_abi_stamp.h`; run as a script, it makes it. The header is
# written only when the stamp changes; the dependency file names folders too, so that a new header counts.

if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(weir_abi_stamp_dir ${CMAKE_BINARY_DIR}/generated/abi)
  set(weir_abi_stamp_header ${weir_abi_stamp_dir}/weir_abi_stamp.h)
  set(sanitizer ${WEIR_SANITIZER})
  if(NOT sanitizer)
    set(sanitizer none)
  endif()
  file(MAKE_DIRECTORY ${weir_abi_stamp_dir})
  add_custom_command(
      OUTPUT ${weir_abi_stamp_dir}/checked
      BYPRODUCTS ${weir_abi_stamp_header}
      COMMAND ${CMAKE_COMMAND} -D SOURCE_DIR=${PROJECT_SOURCE_DIR} -D HEADER=${weir_abi_stamp_header}
              -D CHECKED=${weir_abi_stamp_dir}/checked -D VERSION=${PROJECT_VERSION}
              -D COMPILER=${CMAKE_CXX_COMPILER_ID}-${CMAKE_CXX_COMPILER_VERSION} -D ABSEIL=${absl_VERSION}
              -D SANITIZER=${sanitizer} -P ${CMAKE_CURRENT_LIST_FILE}
      DEPENDS ${CMAKE_CURRENT_LIST_FILE}
      DEPFILE ${weir_abi_stamp_dir}/checked.d
      COMMENT "Checking the ABI stamp"
      VERBATIM)
  add_custom_target(weir_abi_stamp_header DEPENDS ${weir_abi_stamp_dir}/checked)
  # To include the header, link this.
  add_library(weir_abi_stamp INTERFACE)
  target_include_directories(weir_abi_stamp INTERFACE ${weir_abi_stamp_dir})
  add_dependencies(weir_abi_stamp weir_abi_stamp_header)
  add_library(weir::weir_abi_stamp ALIAS weir_abi_stamp)
  return()
endif()

file(GLOB_RECURSE headers RELATIVE ${SOURCE_DIR} ${SOURCE_DIR}/runtime/*.h ${SOURCE_DIR}/operators/*.h)
file(GLOB_RECURSE paths LIST_DIRECTORIES true RELATIVE ${SOURCE_DIR} ${SOURCE_DIR}/runtime/* ${SOURCE_DIR}/operators/*)
list(SORT headers)
set(content "")
foreach(header IN LISTS headers)
  file(SHA256 ${SOURCE_DIR}/${header} hash)
  string(APPEND content "${header} ${hash}\n")
endforeach()
string(SHA256 headers_hash "${content}")
string(SUBSTRING ${headers_hash} 0 16 headers_hash)

set(dependencies ${headers} runtime operators)
foreach(path IN LISTS paths)
  if(IS_DIRECTORY ${SOURCE_DIR}/${path})
    list(APPEND dependencies ${path})
  endif()
endforeach()
list(TRANSFORM dependencies PREPEND "${SOURCE_DIR}/")
list(TRANSFORM dependencies REPLACE " " "\\\\ ")
string(REPLACE ";" " \\\n  " dependencies "${dependencies}")
string(REPLACE " " "\\ " checked "${CHECKED}")
file(WRITE ${CHECKED}.d "${checked}: \\\n  ${dependencies}\n")

set(text "#pragma once

#ifdef NDEBUG
#define WEIR_ABI_ASSERTIONS_ \"off\"
#else
#define WEIR_ABI_ASSERTIONS_ \"on\"
#endif

/// Made by cmake/WeirAbiStamp.cmake.
#define WEIR_ABI_STAMP                                                                  \\
  \"weir=${VERSION} headers=${headers_hash} compiler=${COMPILER} abseil=${ABSEIL} \" \\
  \"sanitizer=${SANITIZER} assertions=\" WEIR_ABI_ASSERTIONS_
")
set(present "")
if(EXISTS ${HEADER})
  file(READ ${HEADER} present)
endif()
if(NOT present STREQUAL text)
  file(WRITE ${HEADER} "${text}")
endif()
file(TOUCH ${CHECKED})
