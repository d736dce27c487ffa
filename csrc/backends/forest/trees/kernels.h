// Kernels: the hot loops, compiled once for each instruction set and chosen at run time.
//
// One source (kernels_body.h) is compiled into kernels_avx512.cc, kernels_avx2.cc and
// kernels_portable.cc with that set's compiler flags; what differs is in simd_*.h. The portable
// build uses compiler vectors, which become NEON on ARM and SSE2 on x86-64. Arguments are plain
// pointers and numbers; layouts are built by planes.cc, sweep.cc, walk.cc and lockstep.cc.
//
// Threads: any; kernels keep no state. Failure: none.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/forest/trees/evaluator.h"

namespace slipstream::forest {

// How one numeric column is binned: see NumericColumn.
struct BinColumn {
  const float* keys = nullptr;  // search tree
  const double* exact = nullptr;
  const float* heap = nullptr;  // 2^heap_depth thresholds in heap order, or null (see sweep)
  std::uint32_t heap_depth = 0;
  std::uint32_t levels = 1;
  std::uint32_t count = 0;
  std::uint32_t feature = 0;
  // A column with one plane writes the other one behind all planes, where nobody looks: cheaper
  // than a branch. Every buffer of planes has room for one more.
  std::uint32_t plane_right = 0;
  std::uint32_t plane_left = 0;
};

// The thresholds of one numeric column by bucket: see buckets.h.
inline constexpr std::uint32_t kWindow = 8;  // thresholds that are compared at a time
struct BucketColumn {
  std::uint32_t first_threshold = 0;
  std::uint32_t feature = 0;
  std::uint16_t count = 0;
  std::uint16_t more_windows = 0;  // behind the first
  std::uint32_t plane_right = 0;   // as in BinColumn
  std::uint32_t plane_left = 0;
};

// How the bins of a row's columns, side by side in up to four registers of bytes, become those of
// its planes by a permutation: for models of at most 256 planes.
struct DenseBins {
  // Columns, padded to 8 with some that exist.
  std::size_t columns = 0;
  const std::uint32_t* feature = nullptr;         // null: not such a model
  const std::uint8_t* first_threshold = nullptr;  // its lowest byte; padded to 64
  std::size_t planes = 0;
  const std::uint8_t* plane_column = nullptr;  // of planes; padded to 64
  // Columns whose buckets hold more than a window, and how many windows more.
  const std::uint16_t* crowded = nullptr;  // [crowded_count][2]
  std::size_t crowded_count = 0;
};

struct BucketTask {
  const BucketColumn* columns = nullptr;
  std::size_t column_count = 0;
  const double* doubles = nullptr;  // thresholds where float64 decides, else
  const float* floats = nullptr;
  const std::uint32_t* starts = nullptr;  // of all buckets: the first threshold to compare with
  // Of features, padded to 16.
  const float* low = nullptr;
  const float* scale = nullptr;
  const float* last = nullptr;
  const std::uint32_t* first_bucket = nullptr;
  DenseBins dense;
};

// The bucket of a value; that of NaN is 0. Never changes the order of two values.
[[nodiscard]] inline std::uint32_t bucket_of(float x, float low, float scale, float last) noexcept {
  const float at = (x - low) * scale;
  const float from_zero = at > 0.0F ? at : 0.0F;  // NaN too
  return static_cast<std::uint32_t>(from_zero < last ? from_zero : last);
}

struct BinTask {
  const BinColumn* columns = nullptr;
  std::size_t column_count = 0;
  std::size_t features = 0;
  // Bit f: what the rule of feature f does (padded to 16 bits).
  const std::uint16_t* as_zero = nullptr;
  const std::uint16_t* zero_too = nullptr;
  bool zero_flush = false;
  bool round_down = false;  // keys are rounded down (float64 decides), else to nearest
  BucketTask buckets;       // has columns where 8-bit bins of rows are found by bucket
};

// What is known of a row once its keys are made.
struct RowTraits {
  bool has_nan = false;
  bool is_rounded = false;  // some key is not the value itself
};

// One inner node of the sweep: rows that are at leaf `low` and go right move to leaf `middle`.
template <class Lane>
struct SweepNode {
  std::uint32_t plane = 0;
  Lane threshold = 0;
  Lane low = 0;
  Lane middle = 0;
};

// The first levels of a tree in complete numbering; see levels.h. No levels: not laid out so.
struct LevelTree {
  std::uint32_t depth = 0;  // levels, at most kMostLevels
  std::uint32_t first_plane = 0;
  std::uint32_t first_threshold = 0;
};
inline constexpr std::uint32_t kMostLevels = 7;

struct SweepTree {
  std::uint32_t first_node = 0;
  std::uint32_t node_count = 0;  // 0 where the tree is laid out by levels
  LevelTree levels;
  std::uint32_t first_leaf = 0;  // into the leaf table
  std::uint32_t leaf_count = 0;
  std::int32_t output = 0;  // -1: the leaf table holds `outputs` values a leaf
};

template <class Lane>
struct SweepTask {
  const SweepTree* trees = nullptr;
  std::size_t tree_count = 0;
  const SweepNode<Lane>* nodes = nullptr;
  const std::uint32_t* level_planes = nullptr;  // first element of a plane, as a distance
  const Lane* level_thresholds = nullptr;
  const Lane* planes = nullptr;  // [planes][block rows]
  const void* leaves = nullptr;  // float or double, padded
  bool float32_sums = false;
  std::size_t outputs = 1;
  void* sums = nullptr;  // [outputs][block rows], holds the bases on entry
};

// Rows in the first levels of one tree.
template <class Lane>
struct LevelsTask {
  LevelTree tree;
  const std::uint32_t* level_planes = nullptr;
  const Lane* level_thresholds = nullptr;
  const Lane* planes = nullptr;  // [planes][block rows]
  Lane* places = nullptr;        // where each row is below them; room for a block
};

// A node of a walk. Children are nodes of the same tree; behind the inner nodes of a tree stand its
// leaves, which lead to themselves.
template <class PlaneType, class TestType, class ChildType>
struct WalkNode {
  using Child = ChildType;
  using Value = TestType;  // what rows are made of
  PlaneType plane = 0;
  TestType test = 0;        // right if the plane's value is larger (or, keys, not at or below)
  ChildType child[2] = {};  // left, right
};
using Node4 = WalkNode<std::uint8_t, std::uint8_t, std::uint8_t>;
using Node8 = WalkNode<std::uint16_t, std::uint16_t, std::uint16_t>;
using Node12 = WalkNode<std::uint16_t, std::uint16_t, std::uint32_t>;
using NodeKey = WalkNode<std::uint32_t, float, std::uint32_t>;
static_assert(sizeof(Node4) == 4 && sizeof(Node8) == 8 && sizeof(Node12) == 12 &&
              sizeof(NodeKey) == 16);

struct WalkTree {
  std::uint32_t first_node = 0;
  std::uint32_t inner_count = 0;
};

template <class Node>
struct WalkTask {
  const Node* nodes = nullptr;
  const WalkTree* trees = nullptr;
  std::size_t tree_count = 0;
  const typename Node::Value* rows = nullptr;  // [rows][row_stride]
  std::size_t row_stride = 0;
  const std::uint32_t* starts = nullptr;  // walk_rows: the node each row starts at; null: the root
  std::uint32_t* ends = nullptr;          // leaf of each walk, as a node of its tree
  std::uint64_t* walks = nullptr;         // room for one number a walk
};

// Up to 64 rows against 64 trees at a time; see lockstep.h.
struct LockstepTask {
  const std::uint8_t* slots = nullptr;        // [slots][plane, threshold, low][64 trees]
  const std::uint32_t* slot_start = nullptr;  // [groups + 1]
  std::size_t group_count = 0;
  const std::uint8_t* rows = nullptr;  // bins, [rows][64 * row_registers]
  std::size_t row_registers = 1;       // 1, 2 or 4
  std::size_t row_count = 1;           // 1 to 64; there is room for a multiple of 8
  std::uint8_t* leaves = nullptr;      // [groups][kGroupLeaves]: [rows][64 trees]
};
inline constexpr std::size_t kLockstepTrees = 64;
inline constexpr std::size_t kLockstepRows = 64;
// A line more than there are rows: groups must not all lie in the same lines of the cache.
inline constexpr std::size_t kGroupLeaves = (kLockstepRows + 1) * kLockstepTrees;
// A single row takes up to 5 groups side by side, which are of equal length.
inline constexpr std::size_t kLockstepGroups = 5;
// How many of `groups` are taken side by side: as even as can be.
[[nodiscard]] constexpr std::size_t groups_together(std::size_t groups) noexcept {
  const std::size_t passes = (groups + kLockstepGroups - 1) / kLockstepGroups;
  return passes == 0 ? 1 : (groups + passes - 1) / passes;
}
inline constexpr std::size_t kSlotBytes = 3 * kLockstepTrees;

// One row in trees of up to six levels; see blocks.h.
inline constexpr std::size_t kBlockExits = 8;
struct BlocksTask {
  const std::uint8_t* upper = nullptr;  // [groups of 8 trees][64 planes, 64 thresholds]
  // [trees][8 blocks of block_bytes]: 8 planes, 8 thresholds, then values. Null: up to three
  // levels.
  const std::uint8_t* lower = nullptr;
  std::size_t block_bytes = 64;
  std::size_t first_value = 0;        // of a block, in values; a block is 16 values long
  std::size_t trees = 0;              // a multiple of 64
  const std::uint8_t* row = nullptr;  // bins, [64 * row_registers]
  std::size_t row_registers = 1;
  std::uint8_t* decisions = nullptr;  // room for 2 bytes a tree
  std::uint8_t* exits = nullptr;      // [trees]
  std::uint16_t* places = nullptr;    // [trees]: the value of each tree, as a distance in its own
};

struct Kernels {
  const char* name;
  std::size_t block_rows_8;   // rows of a block of 8-bit planes
  std::size_t block_rows_16;  // and of 16-bit planes

  // Bins of rows, row-major: out[row][plane]. What it writes to set planes means nothing. The
  // stride of bytes is a multiple of 64, and all of a row may be written. `scratch` as large as
  // bin_scratch(), as for all of these.
  void (*bin_rows_8)(const BinTask&, const RowsView&, std::size_t rows, std::uint8_t* out,
                     std::size_t out_stride, float* scratch);
  void (*bin_rows_16)(const BinTask&, const RowsView&, std::size_t rows, std::uint16_t* out,
                      std::size_t out_stride, float* scratch);
  // Bins of at most block_rows rows, plane-major: out[plane][row].
  void (*bin_block_8)(const BinTask&, const RowsView&, std::size_t rows, std::uint8_t* out,
                      float* scratch);
  void (*bin_block_16)(const BinTask&, const RowsView&, std::size_t rows, std::uint16_t* out,
                       float* scratch);
  // Keys of rows, row-major, for columns whose keys decide.
  void (*key_rows)(const BinTask&, const RowsView&, std::size_t rows, float* out,
                   std::size_t out_stride, float* scratch);

  void (*sweep_8)(const SweepTask<std::uint8_t>&, std::size_t rows);
  void (*sweep_16)(const SweepTask<std::uint16_t>&, std::size_t rows);

  // Null where the instruction set has no permutation of bytes.
  void (*levels_8)(const LevelsTask<std::uint8_t>&, std::size_t rows);
  void (*levels_16)(const LevelsTask<std::uint16_t>&, std::size_t rows);

  // Leaves of one row in every tree / of rows in the first tree: task.ends[tree] / [row].
  void (*walk_trees_4)(const WalkTask<Node4>&);
  void (*walk_trees_8)(const WalkTask<Node8>&);
  void (*walk_trees_12)(const WalkTask<Node12>&);
  void (*walk_trees_key)(const WalkTask<NodeKey>&);
  void (*walk_rows_4)(const WalkTask<Node4>&, std::size_t rows);
  void (*walk_rows_8)(const WalkTask<Node8>&, std::size_t rows);
  void (*walk_rows_12)(const WalkTask<Node12>&, std::size_t rows);
  void (*walk_rows_key)(const WalkTask<NodeKey>&, std::size_t rows);

  // Null where the instruction set has no permutation of bytes, both.
  void (*lockstep)(const LockstepTask&);
  void (*blocks)(const BlocksTask&);
};

// Floats of scratch that binning needs for `features` columns: a row's values as doubles and their
// buckets, and a tile of a block.
[[nodiscard]] constexpr std::size_t bin_scratch(std::size_t features) noexcept {
  return 3 * ((features + 15) & ~std::size_t{15}) + 8 * 512 + 8 * 512 / 16;
}

// The best kernels for this processor. `name` restricts the choice ("avx512", "avx2", "portable";
// empty: the best); null if the processor, or this build, has no such kernels.
[[nodiscard]] const Kernels* find_kernels(const char* name = "") noexcept;

}  // namespace slipstream::forest
