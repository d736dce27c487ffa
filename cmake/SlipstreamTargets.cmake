# Flags every slipstream target shares, and one function per kind of target.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

# A request crosses many small functions of several files: inlined across them, a row is answered
# some 4 % sooner.
include(CheckIPOSupported)
check_ipo_supported(RESULT slipstream_has_ipo OUTPUT slipstream_no_ipo_reason)
if(slipstream_has_ipo AND NOT SLIPSTREAM_SANITIZE)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION_RELEASE ON)
else()
  message(STATUS "No interprocedural optimization ${slipstream_no_ipo_reason}")
endif()

find_package(Threads REQUIRED)

add_library(slipstream_flags INTERFACE)
target_compile_options(slipstream_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                                  -Wnon-virtual-dtor -Wold-style-cast)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # gcc 12 sees overlapping copies in `"text" + std::string` that are not there (GCC bug 105651).
  target_compile_options(slipstream_flags INTERFACE -Wno-restrict)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # Tables computed at compile time take more steps than clang allows by default.
  target_compile_options(slipstream_flags INTERFACE -fconstexpr-steps=100000000)
endif()
if(SLIPSTREAM_WERROR)
  target_compile_options(slipstream_flags INTERFACE -Werror)
endif()
if(SLIPSTREAM_SANITIZE)
  target_compile_options(slipstream_flags INTERFACE -fsanitize=${SLIPSTREAM_SANITIZE}
                                                    -fno-omit-frame-pointer
                                                    -fno-sanitize-recover=all)
  target_link_options(slipstream_flags INTERFACE -fsanitize=${SLIPSTREAM_SANITIZE})
endif()
target_include_directories(slipstream_flags INTERFACE ${PROJECT_SOURCE_DIR}/csrc)
target_link_libraries(slipstream_flags INTERFACE Threads::Threads)

# slipstream_add_backend(NAME SOURCES...): the shared library libslipstream_backend_NAME.so, found
# by name at run time. It exports its one entry point and links the core statically.
function(slipstream_add_backend NAME)
  set(target slipstream_backend_${NAME})
  add_library(${target} MODULE ${ARGN})
  target_link_libraries(${target} PRIVATE slipstream_core slipstream_flags ${CMAKE_DL_LIBS})
  set_target_properties(${target} PROPERTIES
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/backends)
  if(NOT SLIPSTREAM_SANITIZE)
    target_link_options(${target} PRIVATE -Wl,--no-undefined)
  endif()
  install(TARGETS ${target} LIBRARY DESTINATION slipstream/backends)
endfunction()

# slipstream_add_test(NAME SOURCES...): a test executable on tests/cpp/harness.h, run by ctest.
function(slipstream_add_test NAME)
  add_executable(${NAME} ${ARGN})
  target_link_libraries(${NAME} PRIVATE slipstream_harness slipstream_core slipstream_wire
                                        slipstream_flags)
  target_compile_definitions(${NAME} PRIVATE
    SLIPSTREAM_BACKEND_DIR="${PROJECT_BINARY_DIR}/backends")
  add_test(NAME ${NAME} COMMAND ${NAME})
  set_tests_properties(${NAME} PROPERTIES TIMEOUT 300)
endfunction()
