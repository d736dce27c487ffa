#include "core/compose/vote.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>

namespace slipstream {
namespace {

// What all three share: readers of equal width, and a checked weight for each.
struct Ballot {
  std::vector<ColumnReader> readers;
  std::vector<double> weights;

  [[nodiscard]] std::size_t columns() const noexcept { return readers.front().columns(); }
};

Status check_weights(const std::vector<double>& weights, std::size_t members) {
  if (weights.size() != members) {
    return invalid_argument("the ensemble has " + std::to_string(members) + " members and " +
                            std::to_string(weights.size()) + " weights; give one each, or none");
  }
  const bool are_sound = std::ranges::all_of(
      weights, [](double weight) { return std::isfinite(weight) && weight >= 0; });
  if (!are_sound) return invalid_argument("an ensemble's weights must be finite and not negative");
  if (std::accumulate(weights.begin(), weights.end(), 0.0) == 0) {
    return invalid_argument("an ensemble's weights must not all be zero");
  }
  return Status::ok();
}

Result<std::shared_ptr<const Ballot>> ballot_of(std::vector<ColumnReader>&& readers,
                                                std::vector<double>&& weights) {
  if (readers.empty()) return invalid_argument("an ensemble needs at least one member");
  if (weights.empty()) weights.assign(readers.size(), 1.0);
  if (Status status = check_weights(weights, readers.size()); !status.is_ok()) return status;
  for (const ColumnReader& reader : readers) {
    if (reader.columns() == readers.front().columns()) continue;
    return invalid_argument("member '" + readers.front().member + "' answers " +
                            std::to_string(readers.front().columns()) + " numbers a row, member '" +
                            reader.member + "' " + std::to_string(reader.columns()));
  }
  return std::make_shared<const Ballot>(std::move(readers), std::move(weights));
}

// Into `sums`: rows of columns.
void average(const std::vector<Columns>& members, std::span<const double> weights,
             std::span<double> sums) {
  std::ranges::fill(sums, 0.0);
  for (std::size_t member = 0; member < members.size(); ++member) {
    const std::vector<double>& values = members[member].values;
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += weights[member] * values[i];
  }
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& sum : sums) sum /= total;
}

// The winner among one row's places. Ensembles are small: comparing each with each is quick.
std::int64_t elect(std::span<const double> places, std::span<const double> weights) {
  double winner = 0;
  double most = -1;
  for (const double candidate : places) {
    double votes = 0;
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (places[i] == candidate) votes += weights[i];
    }
    if (votes > most || (votes == most && candidate < winner)) {
      winner = candidate;
      most = votes;
    }
  }
  return static_cast<std::int64_t>(winner);
}

Tensor mean_tensor(const Ballot& ballot, const std::vector<Columns>& members, bool is_flat) {
  const std::int64_t rows = members.front().rows;
  const auto columns = static_cast<std::int64_t>(ballot.columns());
  Tensor mean = is_flat ? Tensor::allocate(DType::kFloat64, {rows})
                        : Tensor::allocate(DType::kFloat64, {rows, columns});
  average(members, ballot.weights, mean.as<double>());
  return mean;
}

Tensor largest_of_rows(const Tensor& table) {
  const std::int64_t rows = table.rows();
  Tensor places = Tensor::allocate(DType::kInt64, {rows});
  const auto target = places.as<std::int64_t>();
  const std::span<const double> values = table.as<double>();
  const std::size_t width = rows == 0 ? 0 : values.size() / static_cast<std::size_t>(rows);
  for (std::size_t row = 0; row < target.size(); ++row) {
    const auto of_row = values.subspan(row * width, width);
    target[row] = std::ranges::max_element(of_row) - of_row.begin();
  }
  return places;
}

}  // namespace

Result<Combine> soft_vote(std::vector<ColumnReader> readers, std::vector<double> weights) {
  auto ballot = ballot_of(std::move(readers), std::move(weights));
  if (!ballot.is_ok()) return ballot.status();
  return Combine([ballot = ballot.value()](
                     std::span<std::vector<Tensor>> answers) -> Result<std::vector<Tensor>> {
    const Result<std::vector<Columns>> members = read_all(ballot->readers, answers);
    if (!members.is_ok()) return members.status();
    Tensor probabilities = mean_tensor(*ballot, members.value(), false);
    std::vector<Tensor> outputs;
    outputs.push_back(largest_of_rows(probabilities));
    outputs.push_back(std::move(probabilities));
    return outputs;
  });
}

Result<Combine> hard_vote(std::vector<ColumnReader> readers, std::vector<double> weights) {
  auto ballot = ballot_of(std::move(readers), std::move(weights));
  if (!ballot.is_ok()) return ballot.status();
  if (ballot.value()->columns() != 1) return invalid_argument("a hard vote takes one label a row");
  return Combine([ballot = ballot.value()](
                     std::span<std::vector<Tensor>> answers) -> Result<std::vector<Tensor>> {
    const Result<std::vector<Columns>> members = read_all(ballot->readers, answers);
    if (!members.is_ok()) return members.status();
    Tensor winners = Tensor::allocate(DType::kInt64, {members.value().front().rows});
    const auto target = winners.as<std::int64_t>();
    std::vector<double> places(members.value().size());
    for (std::size_t row = 0; row < target.size(); ++row) {
      for (std::size_t member = 0; member < places.size(); ++member) {
        places[member] = members.value()[member].values[row];
      }
      target[row] = elect(places, ballot->weights);
    }
    std::vector<Tensor> outputs;
    outputs.push_back(std::move(winners));
    return outputs;
  });
}

Result<Combine> mean_of_columns(std::vector<ColumnReader> readers, std::vector<double> weights) {
  auto ballot = ballot_of(std::move(readers), std::move(weights));
  if (!ballot.is_ok()) return ballot.status();
  return Combine([ballot = ballot.value()](
                     std::span<std::vector<Tensor>> answers) -> Result<std::vector<Tensor>> {
    const Result<std::vector<Columns>> members = read_all(ballot->readers, answers);
    if (!members.is_ok()) return members.status();
    std::vector<Tensor> outputs;
    outputs.push_back(mean_tensor(*ballot, members.value(), ballot->columns() == 1));
    return outputs;
  });
}

}  // namespace slipstream
