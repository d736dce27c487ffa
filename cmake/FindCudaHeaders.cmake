# The headers of CUDA's driver API: cuda.h and cudaTypedefs.h of CUDA 12.0 or newer. Nothing of CUDA
# is linked (the driver is opened at run time), so a toolkit is not needed; the wheel
# nvidia-cuda-runtime is enough, and is looked for through the Python that builds, so that what is
# compiled against is what constraints.txt says. A toolkit comes next.
#
#   SLIPSTREAM_CUDA_INCLUDE_DIR  a folder to take them from instead
#   CudaHeaders_FOUND, CudaHeaders_INCLUDE_DIR, CudaHeaders_VERSION, and the target CudaHeaders::CudaHeaders
#
# What torch's and TensorRT's own headers include, cuda_runtime_api.h, needs the compiler's part of the
# headers as well: a toolkit has it, and the wheel nvidia-cuda-crt beside nvidia-cuda-runtime.
#
#   CudaHeaders_CRT_INCLUDE_DIR  the folder with crt/host_defines.h
#   CudaHeaders::Runtime         all of them; there is no such target where that part is missing
set(SLIPSTREAM_CUDA_INCLUDE_DIR "" CACHE PATH "The folder with cuda.h; empty: it is looked for")

# Folders in which the wheels of CUDA 13 and 12 put them, of every folder that Python imports from.
set(_cuda_python "${Python_EXECUTABLE}")
if(NOT _cuda_python)
  find_program(_cuda_python_found NAMES python3 python HINTS ${PROJECT_SOURCE_DIR}/.venv/bin NO_CACHE)
  set(_cuda_python "${_cuda_python_found}")
endif()
set(_cuda_hints "")
if(_cuda_python)
  execute_process(
    COMMAND ${_cuda_python} -c
      "import pathlib, sys; wheels = ('nvidia/cu13/include', 'nvidia/cuda_runtime/include'); print(*[found.as_posix() for path in sys.path for wheel in wheels if (found := pathlib.Path(path or '.', wheel)).is_dir()], sep=';')"
    OUTPUT_VARIABLE _cuda_hints OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
find_package(CUDAToolkit QUIET)

# Looked for anew every time: an environment that was made anew must not leave a dead path behind.
unset(CudaHeaders_INCLUDE_DIR CACHE)
if(SLIPSTREAM_CUDA_INCLUDE_DIR)
  find_path(CudaHeaders_INCLUDE_DIR cudaTypedefs.h PATHS ${SLIPSTREAM_CUDA_INCLUDE_DIR}
    NO_DEFAULT_PATH)
else()
  find_path(CudaHeaders_INCLUDE_DIR cudaTypedefs.h
    HINTS ${_cuda_hints} ${CUDAToolkit_INCLUDE_DIRS} ENV CUDA_HOME ENV CUDA_PATH
    PATHS /usr/local/cuda
    PATH_SUFFIXES include)
endif()
unset(CudaHeaders_CRT_INCLUDE_DIR CACHE)
if(SLIPSTREAM_CUDA_INCLUDE_DIR)
  find_path(CudaHeaders_CRT_INCLUDE_DIR crt/host_defines.h PATHS ${SLIPSTREAM_CUDA_INCLUDE_DIR}
    NO_DEFAULT_PATH)
else()
  find_path(CudaHeaders_CRT_INCLUDE_DIR crt/host_defines.h
    HINTS ${CudaHeaders_INCLUDE_DIR} ${_cuda_hints} ${CUDAToolkit_INCLUDE_DIRS}
      ENV CUDA_HOME ENV CUDA_PATH
    PATHS /usr/local/cuda
    PATH_SUFFIXES include)
endif()
mark_as_advanced(CudaHeaders_INCLUDE_DIR CudaHeaders_CRT_INCLUDE_DIR)

set(CudaHeaders_VERSION "")
if(CudaHeaders_INCLUDE_DIR AND EXISTS ${CudaHeaders_INCLUDE_DIR}/cuda.h)
  file(STRINGS ${CudaHeaders_INCLUDE_DIR}/cuda.h _cuda_line REGEX "^#define CUDA_VERSION +[0-9]+")
  if(_cuda_line MATCHES "([0-9]+)$")
    math(EXPR _cuda_major "${CMAKE_MATCH_1} / 1000")
    math(EXPR _cuda_minor "${CMAKE_MATCH_1} % 1000 / 10")
    set(CudaHeaders_VERSION ${_cuda_major}.${_cuda_minor})
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CudaHeaders
  REQUIRED_VARS CudaHeaders_INCLUDE_DIR CudaHeaders_VERSION
  VERSION_VAR CudaHeaders_VERSION)

if(CudaHeaders_FOUND AND NOT TARGET CudaHeaders::CudaHeaders)
  add_library(CudaHeaders::CudaHeaders INTERFACE IMPORTED GLOBAL)  # imported: SYSTEM headers
  target_include_directories(CudaHeaders::CudaHeaders INTERFACE ${CudaHeaders_INCLUDE_DIR})
endif()
if(CudaHeaders_FOUND AND CudaHeaders_CRT_INCLUDE_DIR AND NOT TARGET CudaHeaders::Runtime)
  add_library(CudaHeaders::Runtime INTERFACE IMPORTED GLOBAL)
  target_include_directories(CudaHeaders::Runtime INTERFACE
    ${CudaHeaders_INCLUDE_DIR} ${CudaHeaders_CRT_INCLUDE_DIR})
endif()
