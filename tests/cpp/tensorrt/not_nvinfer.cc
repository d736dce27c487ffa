// Libraries that the backend must refuse without calling into them blindly: one without TensorRT's
// entries, and (NOT_NVINFER_OTHER) one of another major version.
#include <cstdint>

#ifdef NOT_NVINFER_OTHER
extern "C" __attribute__((visibility("default"))) void* createInferRuntime_INTERNAL(void*,
                                                                                    std::int32_t) {
  __builtin_trap();
}
extern "C" __attribute__((visibility("default"))) std::int32_t getInferLibVersion() {
  return 80603;
}
#else
extern "C" __attribute__((visibility("default"))) int something_else() {
  return 0;
}
#endif
