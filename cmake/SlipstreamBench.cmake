# What every C++ program of bench/ begins with: optimised unless told otherwise, and the project's
# own targets. Each is a project of its own, so that installing slipstream never builds it.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
get_filename_component(root ${CMAKE_CURRENT_LIST_DIR}/.. ABSOLUTE)
list(APPEND CMAKE_MODULE_PATH ${root}/cmake)
include(SlipstreamTargets)
target_include_directories(slipstream_flags INTERFACE ${root}/csrc)
