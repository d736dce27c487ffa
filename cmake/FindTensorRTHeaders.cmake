# TensorRT's headers: NvInfer.h of version 10.1 or newer. Nothing of TensorRT is linked (its library
# is opened at run time). Its wheels bring no headers; they come with NVIDIA's containers and
# packages (libnvinfer-headers-dev), and are public on NVIDIA/TensorRT (include/).
#
#   SLIPSTREAM_TENSORRT_DIR  a folder to take them from instead: the one with NvInfer.h, or above it
#   TensorRTHeaders_FOUND, TensorRTHeaders_INCLUDE_DIR, TensorRTHeaders_VERSION, and the target
#   TensorRTHeaders::TensorRTHeaders
set(SLIPSTREAM_TENSORRT_DIR "" CACHE PATH "The folder with NvInfer.h; empty: it is looked for")

unset(TensorRTHeaders_INCLUDE_DIR CACHE)  # looked for anew every time
if(SLIPSTREAM_TENSORRT_DIR)
  find_path(TensorRTHeaders_INCLUDE_DIR NvInfer.h PATHS ${SLIPSTREAM_TENSORRT_DIR}
    PATH_SUFFIXES include NO_DEFAULT_PATH)
else()
  find_path(TensorRTHeaders_INCLUDE_DIR NvInfer.h
    HINTS ENV TENSORRT_ROOT ENV TRT_ROOT
    PATHS /usr/local/tensorrt /usr/src/tensorrt
      /usr/include/x86_64-linux-gnu /usr/include/aarch64-linux-gnu
      /usr/local/cuda/targets/x86_64-linux /usr/local/cuda/targets/sbsa-linux
    PATH_SUFFIXES include)
endif()
mark_as_advanced(TensorRTHeaders_INCLUDE_DIR)

# Each number is a literal, or since 10.11 another name for one.
function(_tensorrt_number NAME OUT)
  file(STRINGS ${TensorRTHeaders_INCLUDE_DIR}/NvInferVersion.h line
    REGEX "^#define ${NAME} +[A-Za-z0-9_]+" LIMIT_COUNT 1)
  if(line MATCHES "^#define ${NAME} +([0-9]+)")
    set(${OUT} ${CMAKE_MATCH_1} PARENT_SCOPE)
  elseif(line MATCHES "^#define ${NAME} +([A-Za-z_]+)")
    _tensorrt_number(${CMAKE_MATCH_1} found)
    set(${OUT} ${found} PARENT_SCOPE)
  else()
    set(${OUT} "" PARENT_SCOPE)
  endif()
endfunction()

set(TensorRTHeaders_VERSION "")
if(TensorRTHeaders_INCLUDE_DIR AND EXISTS ${TensorRTHeaders_INCLUDE_DIR}/NvInferVersion.h)
  _tensorrt_number(NV_TENSORRT_MAJOR _tensorrt_major)
  _tensorrt_number(NV_TENSORRT_MINOR _tensorrt_minor)
  _tensorrt_number(NV_TENSORRT_PATCH _tensorrt_patch)
  set(TensorRTHeaders_VERSION ${_tensorrt_major}.${_tensorrt_minor}.${_tensorrt_patch})
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TensorRTHeaders
  REQUIRED_VARS TensorRTHeaders_INCLUDE_DIR TensorRTHeaders_VERSION
  VERSION_VAR TensorRTHeaders_VERSION)

if(TensorRTHeaders_FOUND AND NOT TARGET TensorRTHeaders::TensorRTHeaders)
  add_library(TensorRTHeaders::TensorRTHeaders INTERFACE IMPORTED GLOBAL)  # SYSTEM headers
  target_include_directories(TensorRTHeaders::TensorRTHeaders INTERFACE
    ${TensorRTHeaders_INCLUDE_DIR})
  set_target_properties(TensorRTHeaders::TensorRTHeaders PROPERTIES
    SLIPSTREAM_MAJOR "${_tensorrt_major}")
endif()
