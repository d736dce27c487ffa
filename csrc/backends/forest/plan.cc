#include "backends/forest/plan.h"

namespace slipstream::forest {
namespace {

bool wants(std::uint64_t outputs_wanted, std::size_t output) {
  return ((outputs_wanted >> output) & 1U) != 0;
}

std::vector<bool> find_needed(const Program& program, std::uint64_t outputs_wanted) {
  std::vector<bool> needed(program.values.size(), false);
  for (std::size_t i = 0; i < program.outputs.size(); ++i) {
    if (wants(outputs_wanted, i)) needed[program.outputs[i].value] = true;
  }
  for (std::size_t i = program.steps.size(); i-- > 0;) {
    // The library raises whether or not anything comes of the column.
    if (program.steps[i]->refuses()) needed[program.value_of_step(i)] = true;
    if (!needed[program.value_of_step(i)]) continue;
    for (const std::uint32_t id : program.steps[i]->inputs()) needed[id] = true;
  }
  return needed;
}

PlannedStep planned(const Program& program, const Layout& layout, std::size_t index) {
  const Step& step = *program.steps[index];
  PlannedStep item;
  item.index = static_cast<std::uint32_t>(index);
  item.value = program.value_of_step(index);
  item.width = step.result().width;
  item.row_bytes = step.result().row_bytes();
  if (const auto view = step.view()) {
    item.source = view->source;
    item.source_bytes = view->first * dtype_size(step.result().dtype);
  } else {
    item.step = &step;
    item.row_offset = layout.row_offset[item.value];
  }
  return item;
}

}  // namespace

Plan Plan::make(const Program& program, const Layout& layout, std::uint64_t outputs_wanted) {
  Plan plan;
  plan.outputs_wanted = outputs_wanted;
  const std::vector<bool> needed = find_needed(program, outputs_wanted);
  std::vector<std::uint32_t> written(program.values.size(), kNoOutput);
  for (std::uint32_t i = 0; i < program.outputs.size(); ++i) {
    if (!wants(outputs_wanted, i)) continue;
    const std::uint32_t value = program.outputs[i].value;
    const bool is_computed =
        value >= program.inputs.size() && !program.steps[value - program.inputs.size()]->view();
    if (is_computed && written[value] == kNoOutput) {
      written[value] = i;
    } else {
      plan.copies.push_back({.value = value, .output = i});
    }
  }
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    if (!needed[program.value_of_step(i)]) continue;
    plan.steps.push_back(planned(program, layout, i));
    plan.steps.back().output = written[plan.steps.back().value];
  }
  return plan;
}

}  // namespace slipstream::forest
