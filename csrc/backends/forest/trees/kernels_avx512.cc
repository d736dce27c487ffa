// Compiled with AVX-512 flags (see CMakeLists.txt); called only where the processor has them.
#include "backends/forest/trees/simd_avx512.h"
// What the set does better than the common body:
#include "backends/forest/trees/bin_avx512.h"
#include "backends/forest/trees/bin_dense_avx512.h"
#include "backends/forest/trees/blocks_avx512.h"
#include "backends/forest/trees/buckets_avx512.h"
#include "backends/forest/trees/levels_avx512.h"
#include "backends/forest/trees/lockstep_avx512.h"

#define SLIPSTREAM_SIMD avx512
#define SLIPSTREAM_SIMD_KEYS 1
#define SLIPSTREAM_SIMD_DENSE 1
#define SLIPSTREAM_SIMD_BLOCKS 1
#define SLIPSTREAM_SIMD_LEVELS 1
namespace slipstream::forest::avx512 {
namespace {
constexpr const char* kName = "avx512";
}
}  // namespace slipstream::forest::avx512
#include "backends/forest/trees/kernels_body.h"
