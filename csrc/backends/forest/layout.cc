#include "backends/forest/layout.h"

#include <algorithm>
#include <map>
#include <string>

namespace slipstream::forest {
namespace {

constexpr std::size_t kNever = 0;

std::size_t rounded_up(std::size_t bytes) {
  return (bytes + 7) / 8 * 8;
}

// For each value the value whose memory it is: its own, or that of the value it is a view of.
std::vector<std::uint32_t> find_owners(const Program& program) {
  std::vector<std::uint32_t> owner(program.values.size());
  for (std::uint32_t id = 0; id < owner.size(); ++id) owner[id] = id;
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    if (const auto view = program.steps[i]->view()) {
      owner[program.value_of_step(i)] = owner[view->source];
    }
  }
  return owner;
}

// For each owner the last moment its memory is read: step i reads at moment i + 1, outputs are
// copied out behind the last step.
std::vector<std::size_t> find_last_uses(const Program& program,
                                        const std::vector<std::uint32_t>& owner) {
  std::vector<std::size_t> last(program.values.size(), kNever);
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    for (const std::uint32_t id : program.steps[i]->inputs()) last[owner[id]] = i + 1;
  }
  for (const ProgramOutput& output : program.outputs) {
    last[owner[output.value]] = program.steps.size() + 1;
  }
  return last;
}

}  // namespace

Result<Layout> Layout::make(const Program& program) {
  const std::vector<std::uint32_t> owner = find_owners(program);
  const std::vector<std::size_t> last = find_last_uses(program, owner);
  std::vector<std::vector<std::uint32_t>> ending(program.steps.size() + 2);
  for (std::uint32_t id = 0; id < owner.size(); ++id) ending[last[id]].push_back(id);

  Layout layout;
  layout.row_offset.assign(program.values.size(), kNowhere);
  std::size_t string_bytes = 0;
  std::map<std::size_t, std::vector<std::size_t>> free;  // bytes -> offsets
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    // What was read for the last time by an earlier step. This step's own inputs stay apart.
    for (const std::uint32_t id : ending[i]) {
      if (i == kNever || layout.row_offset[id] == kNowhere) continue;
      free[rounded_up(program.values[id].row_bytes())].push_back(layout.row_offset[id]);
    }
    const std::uint32_t id = program.value_of_step(i);
    if (owner[id] != id) continue;
    const std::size_t bytes = rounded_up(program.values[id].row_bytes());
    if (program.values[id].dtype == DType::kString) {
      string_bytes += bytes;
    } else if (std::vector<std::size_t>& offsets = free[bytes]; !offsets.empty()) {
      layout.row_offset[id] = offsets.back();
      offsets.pop_back();
    } else {
      layout.row_offset[id] = layout.row_bytes;
      layout.row_bytes += bytes;
    }
    if (layout.row_bytes + string_bytes > kMaxRowBytes) {
      return invalid_argument("its values need more than 32 MiB for one row, at step " +
                              std::to_string(i));
    }
  }
  const std::size_t bytes = std::max<std::size_t>(layout.row_bytes + string_bytes, 1);
  const std::size_t rows = std::clamp<std::size_t>(kMaxScratchBytes / bytes, 1, kMaxBlockRows);
  layout.block_rows = rows < kBlockRowsMultiple ? rows : rows - rows % kBlockRowsMultiple;
  return layout;
}

}  // namespace slipstream::forest
