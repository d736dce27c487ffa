// Compares ort_abi.h with ONNX Runtime's own header, at compile time, where one is on the include
// path (CPATH=/path/to/onnxruntime/include). Without it this file is empty.
#if __has_include(<onnxruntime_c_api.h>)
#include <onnxruntime_c_api.h>

#include <cstddef>
#include <type_traits>

#include "backends/onnx/ort_abi.h"

namespace slipstream::onnx {
namespace {

// AsDeclared<T>: T as ort_abi.h writes it, with int for every enumeration and without noexcept.
template <class T, bool IsEnum = std::is_enum_v<T>>
struct AsDeclaredImpl {
  using type = T;
};
template <class T>
using AsDeclared = typename AsDeclaredImpl<T>::type;
template <class T>
struct AsDeclaredImpl<T, true> {
  using type = int;
};
template <class T>
struct AsDeclaredImpl<T*, false> {
  using type = AsDeclared<T>*;
};
template <class R, class... P>
struct AsDeclaredImpl<R(P...), false> {
  using type = AsDeclared<R>(AsDeclared<P>...);
};
template <class R, class... P>
struct AsDeclaredImpl<R(P...) noexcept, false> {
  using type = AsDeclared<R>(AsDeclared<P>...);
};

#define SLIPSTREAM_ORT_CHECK(slot, result, name, parameters)                                 \
  static_assert(offsetof(OrtApi, name) == (slot) * sizeof(void*), #name " is another slot"); \
  static_assert(std::is_same_v<AsDeclared<decltype(OrtApi::name)>, result(*) parameters>,    \
                #name " has another signature");
// The header marks results as not to be ignored; that is no part of a signature.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"
SLIPSTREAM_ORT_SLOTS(SLIPSTREAM_ORT_CHECK)
#if ORT_API_VERSION >= 22
SLIPSTREAM_ORT_PLUGIN_SLOTS(SLIPSTREAM_ORT_CHECK)
#endif
#if ORT_API_VERSION >= 23
SLIPSTREAM_ORT_LOCATION_SLOTS(SLIPSTREAM_ORT_CHECK)
#endif
#pragma GCC diagnostic pop
#undef SLIPSTREAM_ORT_CHECK

static_assert(kApiVersion <= ORT_API_VERSION);
static_assert(offsetof(OrtApiBase, GetApi) == offsetof(ApiBase, GetApi));
static_assert(offsetof(OrtApiBase, GetVersionString) == offsetof(ApiBase, GetVersionString));

constexpr bool same(int ours, int theirs) {
  return ours == theirs;
}
static_assert(same(kFail, ORT_FAIL) && same(kInvalidArgument, ORT_INVALID_ARGUMENT));
static_assert(same(kNoSuchFile, ORT_NO_SUCHFILE) && same(kNoModel, ORT_NO_MODEL));
static_assert(same(kEngineError, ORT_ENGINE_ERROR) && same(kProviderFailed, ORT_EP_FAIL));
static_assert(same(kInvalidProtobuf, ORT_INVALID_PROTOBUF));
static_assert(same(kNotImplemented, ORT_NOT_IMPLEMENTED));
static_assert(same(kInvalidGraph, ORT_INVALID_GRAPH));
static_assert(same(kLogFatal, ORT_LOGGING_LEVEL_FATAL));
static_assert(same(kOptimizeNothing, ORT_DISABLE_ALL) && same(kOptimizeBasic, ORT_ENABLE_BASIC));
static_assert(same(kOptimizeExtended, ORT_ENABLE_EXTENDED) && same(kOptimizeAll, ORT_ENABLE_ALL));
static_assert(same(kSequential, ORT_SEQUENTIAL) && same(kParallel, ORT_PARALLEL));
static_assert(same(kTensorValue, ONNX_TYPE_TENSOR) && same(kSequenceValue, ONNX_TYPE_SEQUENCE));
static_assert(same(kMapValue, ONNX_TYPE_MAP));
static_assert(same(kElementFloat, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT));
static_assert(same(kElementUint8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8));
static_assert(same(kElementInt8, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8));
static_assert(same(kElementUint16, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16));
static_assert(same(kElementInt16, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16));
static_assert(same(kElementInt32, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32));
static_assert(same(kElementInt64, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64));
static_assert(same(kElementString, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING));
static_assert(same(kElementBool, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL));
static_assert(same(kElementFloat16, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16));
static_assert(same(kElementDouble, ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE));
static_assert(same(kElementUint32, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32));
static_assert(same(kElementUint64, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64));
static_assert(same(kElementBfloat16, ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16));
static_assert(same(kHostDevice, OrtMemoryInfoDeviceType_CPU));
static_assert(same(kArenaAllocator, OrtArenaAllocator) && same(kDefaultMemory, OrtMemTypeDefault));

}  // namespace
}  // namespace slipstream::onnx
#endif
