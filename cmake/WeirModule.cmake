# The functions that make every target, so that flags, warnings and layering are declared once.

# weir_module(<name> [PRECOMPILED <name>] [HEADERS ...] [SOURCES ...] [PUBLIC ...] [PRIVATE ...])
#
# Declares the folder's module as an object library `<name>` with alias `weir::<name>`. HEADERS are its public
# surface; PUBLIC and PRIVATE are the modules and libraries it uses. Objects are collected into a shared library
# by weir_shared_library; nothing links a module's objects twice.
function(weir_module name)
  cmake_parse_arguments(ARG "" "PRECOMPILED" "HEADERS;SOURCES;PUBLIC;PRIVATE" ${ARGN})
  if(NOT ARG_PRECOMPILED)
    set(ARG_PRECOMPILED weir_precompiled)
  endif()
  if(ARG_SOURCES)
    add_library(${name} OBJECT ${ARG_SOURCES})
    target_sources(${name} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${ARG_HEADERS})
    target_compile_options(${name} PRIVATE ${WEIR_WARNINGS})
    target_link_libraries(${name} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
    weir_use_precompiled(${name} ${ARG_PRECOMPILED})
  else()
    add_library(${name} INTERFACE)
    target_sources(${name} INTERFACE FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${ARG_HEADERS})
    target_link_libraries(${name} INTERFACE ${ARG_PUBLIC} ${ARG_PRIVATE})
  endif()
  add_library(weir::${name} ALIAS ${name})
endfunction()

# weir_shared_library(<name> MODULES ... [PUBLIC ...])
#
# Links the objects of MODULES into `lib<name>.so`; consumers get the modules' headers through it.
function(weir_shared_library name)
  cmake_parse_arguments(ARG "" "" "MODULES;PUBLIC" ${ARGN})
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}_empty.cc "")
  add_library(${name} SHARED ${CMAKE_CURRENT_BINARY_DIR}/${name}_empty.cc)
  foreach(module IN LISTS ARG_MODULES)
    target_link_libraries(${name} PRIVATE ${module})
    # Usage requirements without the objects: include folders and definitions only.
    target_include_directories(${name} PUBLIC
        $<TARGET_PROPERTY:${module},INTERFACE_INCLUDE_DIRECTORIES>)
  endforeach()
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_PUBLIC})
  if(NOT WEIR_SANITIZER)
    # A source missing from a module's list fails here, not at run time.
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
  add_library(weir::${name} ALIAS ${name})
endfunction()

# weir_binary(<name> SOURCES ... [PRIVATE ...]): an executable in bin/.
function(weir_binary name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PRIVATE" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE ${WEIR_WARNINGS})
  target_link_libraries(${name} PRIVATE ${ARG_PRIVATE})
endfunction()

# weir_hide_job_symbols(<target>): hidden visibility, so that two versions of one job can live in one process, and no
# unique symbols, so that each binds to its own statics.
function(weir_hide_job_symbols target)
  set_target_properties(${target} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -fno-gnu-unique)
  endif()
endfunction()

# weir_job_module(<name> ...): a module of job code, as weir_module, to be linked into a job library and its tests.
function(weir_job_module name)
  weir_module(${name} ${ARGN})
  weir_hide_job_symbols(${name})
endfunction()

# weir_add_job(<name> SOURCES ... [PRIVATE ...]): builds a job library `lib/jobs/lib<name>.so`.
function(weir_add_job name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PRIVATE" ${ARGN})
  add_library(job_${name} MODULE ${ARG_SOURCES})
  set_target_properties(job_${name} PROPERTIES
      OUTPUT_NAME ${name}
      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/jobs
      DEFINE_SYMBOL "")
  weir_hide_job_symbols(job_${name})
  target_compile_options(job_${name} PRIVATE ${WEIR_WARNINGS})
  target_link_libraries(job_${name} PRIVATE weir::weir_operators weir::weir_runtime weir::weir_abi_stamp ${ARG_PRIVATE})
  weir_use_precompiled(job_${name} weir_precompiled_jobs)
endfunction()

# Of the tests' own files. -fPIC, and not -fPIE: one parsed header then serves executables and objects.
set(WEIR_TEST_OPTIONS -fPIC)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  # Tests instantiate operators by the hundred and run each for milliseconds: a quarter less to compile.
  list(APPEND WEIR_TEST_OPTIONS -O1)
endif()

# weir_test(<name> [LABELS ...] SOURCES ... [PRIVATE ...])
#
# One GoogleTest executable, run by ctest under LABELS (default: unit). The target unit_tests builds all of label unit.
function(weir_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "LABELS;SOURCES;PRIVATE" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  if(WEIR_SANITIZER)
    math(EXPR ARG_TIMEOUT "${ARG_TIMEOUT} * 3")
  endif()
  add_executable(${name} ${ARG_SOURCES})
  if(NOT TARGET unit_tests)
    add_custom_target(unit_tests)
  endif()
  if("unit" IN_LIST ARG_LABELS)
    add_dependencies(unit_tests ${name})
  endif()
  target_compile_options(${name} PRIVATE ${WEIR_WARNINGS})
  target_compile_options(${name} PRIVATE ${WEIR_TEST_OPTIONS})
  weir_use_precompiled(${name} weir_precompiled_tests)
  target_link_libraries(${name} PRIVATE ${ARG_PRIVATE} GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()
