// One scenario a line on standard input, as "key=value" words; one JSON object a policy on standard
// output.
//
//   curve=BASE_NS,PER_ROW_NS,KNEE_ROWS max_rows=N instances=N load=X arrivals=poisson|gamma|trace
//   requests=N seed=N slo_ns=N noise=X class=NAME,SHARE,PRIORITY,LEAST_NS,MOST_NS,HAS_LARGE ...
//   policy=NAME ...
#include <algorithm>
#include <exception>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "scenario.h"
#include "simulator.h"

namespace {

using slipstream::Nanoseconds;
using Words = std::map<std::string, std::vector<std::string>>;

Words words_of(const std::string& line) {
  Words words;
  std::istringstream stream(line);
  for (std::string word; stream >> word;) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) throw std::invalid_argument("no '=' in '" + word + "'");
    words[word.substr(0, equals)].push_back(word.substr(equals + 1));
  }
  return words;
}

Nanoseconds quantile(std::vector<Nanoseconds>& values, double share) {
  if (values.empty()) return 0;
  const auto place = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::ranges::nth_element(values, values.begin() + place);
  return values[static_cast<std::size_t>(place)];
}

void print(const std::string& policy, const sim::Scenario& scenario, sim::Outcome&& outcome) {
  std::int64_t good_rows = 0;
  for (const sim::ClassOutcome& each : outcome.classes) good_rows += each.good_rows;
  const double seconds = static_cast<double>(outcome.span_ns) / 1e9;
  const double goodput = static_cast<double>(good_rows) / seconds;
  std::cout << "{\"policy\":\"" << policy << "\",\"goodput_rows_per_s\":" << goodput
            << ",\"goodput_of_peak\":" << goodput / scenario.peak_rows_per_s()
            << ",\"span_s\":" << seconds << ",\"mean_batch_rows\":"
            << static_cast<double>(outcome.executed_rows) /
                   static_cast<double>(std::max<std::size_t>(outcome.executions, 1))
            << ",\"classes\":[";
  for (std::size_t i = 0; i < outcome.classes.size(); ++i) {
    sim::ClassOutcome& each = outcome.classes[i];
    std::cout << (i == 0 ? "" : ",") << "{\"name\":\"" << scenario.classes[i].name
              << "\",\"offered\":" << each.offered << ",\"good\":" << each.good
              << ",\"late\":" << each.late << ",\"refused\":" << each.refused
              << ",\"dropped\":" << each.dropped
              << ",\"p50_us\":" << static_cast<double>(quantile(each.latencies_ns, 0.5)) / 1e3
              << ",\"p99_us\":" << static_cast<double>(quantile(each.latencies_ns, 0.99)) / 1e3
              << "}";
  }
  std::cout << "]}\n";
}

void run(const std::string& line) {
  const Words words = words_of(line);
  const sim::Scenario scenario = sim::parse_scenario(words);
  const std::vector<sim::Job> jobs = sim::make_jobs(scenario);
  const auto chosen = words.find("policy");
  for (const std::string& name : chosen == words.end() ? sim::scheduler_names() : chosen->second) {
    const auto scheduler = sim::make_scheduler(name, scenario, jobs);
    if (scheduler == nullptr) throw std::invalid_argument("no policy '" + name + "'");
    print(name, scenario, sim::simulate(scenario, jobs, *scheduler));
  }
  std::cout << std::flush;
}

}  // namespace

int main() {
  try {
    for (std::string line; std::getline(std::cin, line);) run(line);
  } catch (const std::exception& error) {
    std::cerr << "sim_bench_driver: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
