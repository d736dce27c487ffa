// The part of ONNX Runtime's C ABI that this backend uses, declared by hand.
//
// The wheels ship the library without its headers. Its C ABI is one table of function pointers,
// OrtApi, that is only ever appended to, so a function is its position in the table (its slot) and
// its signature, both frozen at its first release. They are listed here and nowhere else; Api is
// the table's excerpt, filled and tried out by ort_runtime.cc. Where the real header is found,
// ort_abi_check.cc compares every slot and signature with it at compile time.
//
// Enumerations travel as int, as C passes them. A function that returns OrtStatus* returns null on
// success; a status, like everything a Create* function makes, is given back to its Release*.
// Threads: OrtApi functions may be called from any thread; OrtSession::Run from several at once.
#pragma once

#include <cstddef>
#include <cstdint>

struct OrtStatus;
struct OrtEnv;
struct OrtMemoryInfo;
struct OrtSession;
struct OrtSessionOptions;
struct OrtRunOptions;
struct OrtValue;
struct OrtTypeInfo;
struct OrtTensorTypeAndShapeInfo;
struct OrtAllocator;
struct OrtIoBinding;
struct OrtCUDAProviderOptionsV2;
struct OrtTensorRTProviderOptionsV2;
struct OrtEpDevice;

namespace slipstream::onnx {

// The version of the table we ask for: the first that has every slot below (ONNX Runtime 1.15). An
// older library is refused by name; newer ones keep serving this version.
inline constexpr std::uint32_t kApiVersion = 15;

inline constexpr const char* kEntryPoint = "OrtGetApiBase";

// What OrtGetApiBase() points to.
struct ApiBase {
  const void* (*GetApi)(std::uint32_t version) noexcept;  // null: version not supported
  const char* (*GetVersionString)() noexcept;             // "1.31.1"
};

enum ErrorCode : int {
  kFail = 1,
  kInvalidArgument = 2,
  kNoSuchFile = 3,
  kNoModel = 4,
  kEngineError = 5,
  kRuntimeException = 6,
  kInvalidProtobuf = 7,
  kModelLoaded = 8,
  kNotImplemented = 9,
  kInvalidGraph = 10,
  kProviderFailed = 11,
};

enum LogLevel : int { kLogFatal = 4 };

enum GraphOptimization : int {
  kOptimizeNothing = 0,
  kOptimizeBasic = 1,
  kOptimizeExtended = 2,
  kOptimizeAll = 99,
};

enum ExecutionOrder : int { kSequential = 0, kParallel = 1 };

enum ValueKind : int { kTensorValue = 1, kSequenceValue = 2, kMapValue = 3 };

enum ElementType : int {
  kElementUndefined = 0,
  kElementFloat = 1,
  kElementUint8 = 2,
  kElementInt8 = 3,
  kElementUint16 = 4,
  kElementInt16 = 5,
  kElementInt32 = 6,
  kElementInt64 = 7,
  kElementString = 8,
  kElementBool = 9,
  kElementFloat16 = 10,
  kElementDouble = 11,
  kElementUint32 = 12,
  kElementUint64 = 13,
  kElementBfloat16 = 16,
};

enum AllocatorKind : int { kDeviceAllocator = 0, kArenaAllocator = 1 };
enum MemoryKind : int { kDefaultMemory = 0 };
enum DeviceKind : int { kHostDevice = 0 };

using LogFunction = void (*)(void* context, int severity, const char* category, const char* log_id,
                             const char* code_location, const char* message);

// SLOT(slot, return type, name, parameters)
// clang-format off
#define SLIPSTREAM_ORT_SLOTS(SLOT)                                                                 \
  SLOT(0, OrtStatus*, CreateStatus, (int code, const char* message))                               \
  SLOT(1, int, GetErrorCode, (const OrtStatus* status))                                            \
  SLOT(2, const char*, GetErrorMessage, (const OrtStatus* status))                                 \
  SLOT(4, OrtStatus*, CreateEnvWithCustomLogger,                                                   \
       (LogFunction log, void* context, int level, const char* log_id, OrtEnv** out))              \
  SLOT(6, OrtStatus*, DisableTelemetryEvents, (const OrtEnv* env))                                 \
  SLOT(7, OrtStatus*, CreateSession,                                                               \
       (const OrtEnv* env, const char* path, const OrtSessionOptions* options, OrtSession** out))  \
  SLOT(9, OrtStatus*, Run,                                                                         \
       (OrtSession* session, const OrtRunOptions* options, const char* const* input_names,         \
        const OrtValue* const* inputs, std::size_t input_count, const char* const* output_names,   \
        std::size_t output_count, OrtValue** outputs))                                             \
  SLOT(10, OrtStatus*, CreateSessionOptions, (OrtSessionOptions** out))                            \
  SLOT(13, OrtStatus*, SetSessionExecutionMode, (OrtSessionOptions* options, int mode))            \
  SLOT(23, OrtStatus*, SetSessionGraphOptimizationLevel, (OrtSessionOptions* options, int level))  \
  SLOT(24, OrtStatus*, SetIntraOpNumThreads, (OrtSessionOptions* options, int threads))            \
  SLOT(25, OrtStatus*, SetInterOpNumThreads, (OrtSessionOptions* options, int threads))            \
  SLOT(30, OrtStatus*, SessionGetInputCount, (const OrtSession* session, std::size_t* out))        \
  SLOT(31, OrtStatus*, SessionGetOutputCount, (const OrtSession* session, std::size_t* out))       \
  SLOT(33, OrtStatus*, SessionGetInputTypeInfo,                                                    \
       (const OrtSession* session, std::size_t index, OrtTypeInfo** out))                          \
  SLOT(34, OrtStatus*, SessionGetOutputTypeInfo,                                                   \
       (const OrtSession* session, std::size_t index, OrtTypeInfo** out))                          \
  SLOT(36, OrtStatus*, SessionGetInputName,                                                        \
       (const OrtSession* session, std::size_t index, OrtAllocator* allocator, char** out))        \
  SLOT(37, OrtStatus*, SessionGetOutputName,                                                       \
       (const OrtSession* session, std::size_t index, OrtAllocator* allocator, char** out))        \
  SLOT(39, OrtStatus*, CreateRunOptions, (OrtRunOptions** out))                                    \
  SLOT(48, OrtStatus*, CreateTensorAsOrtValue,                                                     \
       (OrtAllocator* allocator, const std::int64_t* dims, std::size_t rank, int type,             \
        OrtValue** out))                                                                           \
  SLOT(49, OrtStatus*, CreateTensorWithDataAsOrtValue,                                             \
       (const OrtMemoryInfo* info, void* data, std::size_t bytes, const std::int64_t* dims,        \
        std::size_t rank, int type, OrtValue** out))                                               \
  SLOT(51, OrtStatus*, GetTensorMutableData, (OrtValue* value, void** out))                        \
  SLOT(53, OrtStatus*, GetStringTensorDataLength, (const OrtValue* value, std::size_t* out))       \
  SLOT(54, OrtStatus*, GetStringTensorContent,                                                     \
       (const OrtValue* value, void* text, std::size_t text_bytes, std::size_t* offsets,           \
        std::size_t offset_count))                                                                 \
  SLOT(55, OrtStatus*, CastTypeInfoToTensorInfo,                                                   \
       (const OrtTypeInfo* info, const OrtTensorTypeAndShapeInfo** out))                           \
  SLOT(56, OrtStatus*, GetOnnxTypeFromTypeInfo, (const OrtTypeInfo* info, int* out))               \
  SLOT(60, OrtStatus*, GetTensorElementType, (const OrtTensorTypeAndShapeInfo* info, int* out))    \
  SLOT(61, OrtStatus*, GetDimensionsCount,                                                         \
       (const OrtTensorTypeAndShapeInfo* info, std::size_t* out))                                  \
  SLOT(62, OrtStatus*, GetDimensions,                                                              \
       (const OrtTensorTypeAndShapeInfo* info, std::int64_t* dims, std::size_t rank))              \
  SLOT(63, OrtStatus*, GetSymbolicDimensions,                                                      \
       (const OrtTensorTypeAndShapeInfo* info, const char** names, std::size_t rank))              \
  SLOT(65, OrtStatus*, GetTensorTypeAndShape,                                                      \
       (const OrtValue* value, OrtTensorTypeAndShapeInfo** out))                                   \
  SLOT(68, OrtStatus*, CreateMemoryInfo,                                                           \
       (const char* name, int allocator, int id, int memory, OrtMemoryInfo** out))                 \
  SLOT(69, OrtStatus*, CreateCpuMemoryInfo, (int allocator, int memory, OrtMemoryInfo** out))      \
  SLOT(76, OrtStatus*, AllocatorFree, (OrtAllocator* allocator, void* memory))                     \
  SLOT(78, OrtStatus*, GetAllocatorWithDefaultOptions, (OrtAllocator** out))                       \
  SLOT(92, void, ReleaseEnv, (OrtEnv* env))                                                        \
  SLOT(93, void, ReleaseStatus, (OrtStatus* status))                                               \
  SLOT(94, void, ReleaseMemoryInfo, (OrtMemoryInfo* info))                                         \
  SLOT(95, void, ReleaseSession, (OrtSession* session))                                            \
  SLOT(96, void, ReleaseValue, (OrtValue* value))                                                  \
  SLOT(97, void, ReleaseRunOptions, (OrtRunOptions* options))                                      \
  SLOT(98, void, ReleaseTypeInfo, (OrtTypeInfo* info))                                             \
  SLOT(99, void, ReleaseTensorTypeAndShapeInfo, (OrtTensorTypeAndShapeInfo* info))                 \
  SLOT(100, void, ReleaseSessionOptions, (OrtSessionOptions* options))                             \
  SLOT(125, OrtStatus*, GetAvailableProviders, (char*** out, int* count))                          \
  SLOT(126, OrtStatus*, ReleaseAvailableProviders, (char** providers, int count))                  \
  SLOT(130, OrtStatus*, AddSessionConfigEntry,                                                     \
       (OrtSessionOptions* options, const char* key, const char* value))                           \
  SLOT(133, OrtStatus*, RunWithBinding,                                                            \
       (OrtSession* session, const OrtRunOptions* options, const OrtIoBinding* binding))           \
  SLOT(134, OrtStatus*, CreateIoBinding, (OrtSession* session, OrtIoBinding** out))                \
  SLOT(135, void, ReleaseIoBinding, (OrtIoBinding* binding))                                       \
  SLOT(136, OrtStatus*, BindInput,                                                                 \
       (OrtIoBinding* binding, const char* name, const OrtValue* value))                           \
  SLOT(137, OrtStatus*, BindOutput,                                                                \
       (OrtIoBinding* binding, const char* name, const OrtValue* value))                           \
  SLOT(138, OrtStatus*, BindOutputToDevice,                                                        \
       (OrtIoBinding* binding, const char* name, const OrtMemoryInfo* memory))                     \
  SLOT(140, OrtStatus*, GetBoundOutputValues,                                                      \
       (const OrtIoBinding* binding, OrtAllocator* allocator, OrtValue*** out, std::size_t* count)) \
  SLOT(141, void, ClearBoundInputs, (OrtIoBinding* binding))                                       \
  SLOT(142, void, ClearBoundOutputs, (OrtIoBinding* binding))                                      \
  SLOT(165, OrtStatus*, AddRunConfigEntry,                                                         \
       (OrtRunOptions* options, const char* key, const char* value))                               \
  SLOT(170, OrtStatus*, SessionOptionsAppendExecutionProvider_TensorRT_V2,                         \
       (OrtSessionOptions* options, const OrtTensorRTProviderOptionsV2* provider))                 \
  SLOT(171, OrtStatus*, CreateTensorRTProviderOptions, (OrtTensorRTProviderOptionsV2** out))       \
  SLOT(172, OrtStatus*, UpdateTensorRTProviderOptions,                                             \
       (OrtTensorRTProviderOptionsV2* provider, const char* const* keys,                           \
        const char* const* values, std::size_t count))                                             \
  SLOT(174, void, ReleaseTensorRTProviderOptions, (OrtTensorRTProviderOptionsV2* provider))        \
  SLOT(202, OrtStatus*, SynchronizeBoundInputs, (OrtIoBinding* binding))                           \
  SLOT(204, OrtStatus*, SessionOptionsAppendExecutionProvider_CUDA_V2,                             \
       (OrtSessionOptions* options, const OrtCUDAProviderOptionsV2* provider))                     \
  SLOT(205, OrtStatus*, CreateCUDAProviderOptions, (OrtCUDAProviderOptionsV2** out))               \
  SLOT(206, OrtStatus*, UpdateCUDAProviderOptions,                                                 \
       (OrtCUDAProviderOptionsV2* provider, const char* const* keys, const char* const* values,    \
        std::size_t count))                                                                        \
  SLOT(208, void, ReleaseCUDAProviderOptions, (OrtCUDAProviderOptionsV2* provider))                \
  SLOT(225, void, MemoryInfoGetDeviceType, (const OrtMemoryInfo* info, int* out))                  \
  SLOT(252, OrtStatus*, GetResizedStringTensorElementBuffer,                                       \
       (OrtValue* value, std::size_t index, std::size_t bytes, char** out))

// Those for providers in libraries of their own, which ONNX Runtime 1.22 brought.
#define SLIPSTREAM_ORT_PLUGIN_SLOTS(SLOT)                                                          \
  SLOT(301, OrtStatus*, RegisterExecutionProviderLibrary,                                          \
       (OrtEnv* env, const char* name, const char* path))                                          \
  SLOT(303, OrtStatus*, GetEpDevices,                                                              \
       (const OrtEnv* env, const OrtEpDevice* const** out, std::size_t* count))                    \
  SLOT(304, OrtStatus*, SessionOptionsAppendExecutionProvider_V2,                                  \
       (OrtSessionOptions* options, OrtEnv* env, const OrtEpDevice* const* devices,                \
        std::size_t device_count, const char* const* keys, const char* const* values,              \
        std::size_t count))                                                                        \
  SLOT(312, const char*, EpDevice_EpName, (const OrtEpDevice* device))

// Those that tell where a session reads its inputs and leaves its outputs, which ONNX Runtime 1.23 brought.
#define SLIPSTREAM_ORT_LOCATION_SLOTS(SLOT)                                                        \
  SLOT(380, OrtStatus*, SessionGetMemoryInfoForInputs,                                             \
       (const OrtSession* session, const OrtMemoryInfo** infos, std::size_t count))                \
  SLOT(381, OrtStatus*, SessionGetMemoryInfoForOutputs,                                            \
       (const OrtSession* session, const OrtMemoryInfo** infos, std::size_t count))
// clang-format on

// The excerpt of the table: one member a slot, under ONNX Runtime's own names.
struct Api {
#define SLIPSTREAM_ORT_MEMBER(slot, result, name, parameters) result(*name) parameters noexcept;
  SLIPSTREAM_ORT_SLOTS(SLIPSTREAM_ORT_MEMBER)
};

// The same for SLIPSTREAM_ORT_PLUGIN_SLOTS; all null where the library is older.
inline constexpr std::uint32_t kPluginApiVersion = 22;

struct PluginApi {
  SLIPSTREAM_ORT_PLUGIN_SLOTS(SLIPSTREAM_ORT_MEMBER)
};

// The same for SLIPSTREAM_ORT_LOCATION_SLOTS.
inline constexpr std::uint32_t kLocationApiVersion = 23;

struct LocationApi {
  SLIPSTREAM_ORT_LOCATION_SLOTS(SLIPSTREAM_ORT_MEMBER)
};
#undef SLIPSTREAM_ORT_MEMBER

}  // namespace slipstream::onnx
