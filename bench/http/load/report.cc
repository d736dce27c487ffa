#include "report.h"

#include <cstdio>
#include <string_view>

namespace slipstream::load {
namespace {

std::string text(std::string_view value) {
  std::string made = "\"";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      made += '\\';
      made += c;
    } else if (byte < 0x20 || byte > 0x7e) {
      made += "\\u00";
      made += "0123456789abcdef"[byte >> 4];
      made += "0123456789abcdef"[byte & 15];
    } else {
      made += c;
    }
  }
  return made + '"';
}

std::string number(double value) {
  std::string made(32, '\0');
  made.resize(static_cast<std::size_t>(std::snprintf(made.data(), made.size(), "%.9g", value)));
  return made;
}

// Members of a JSON object, put one after the other.
class Object {
 public:
  Object& put(std::string_view key, const std::string& json) {
    if (members_.size() > 1) members_ += ',';
    members_ += text(key);
    members_ += ':';
    members_ += json;
    return *this;
  }
  Object& put(std::string_view key, std::uint64_t value) { return put(key, std::to_string(value)); }
  Object& put(std::string_view key, double value) { return put(key, number(value)); }
  [[nodiscard]] std::string json() const { return members_ + '}'; }

 private:
  std::string members_ = "{";
};

std::string histogram(const Histogram& one) {
  std::string buckets = "[";
  for (const auto& [end, count] : one.buckets()) {
    if (buckets.size() > 1) buckets += ',';
    buckets.append("[").append(std::to_string(end)).append(",");
    buckets.append(std::to_string(count)).append("]");
  }
  Object made;
  made.put("count", one.count()).put("mean", one.mean()).put("min", one.min());
  made.put("p50", one.percentile(0.5)).put("p90", one.percentile(0.9));
  made.put("p99", one.percentile(0.99)).put("p99_9", one.percentile(0.999));
  made.put("max", one.max()).put("buckets", buckets + ']');
  return made.json();
}

std::string traffic(const Traffic& one, double seconds) {
  const Counts& counts = one.counts();
  Object statuses;
  for (const auto& [status, count] : counts.statuses) statuses.put(std::to_string(status), count);
  const Answers& answers = one.answers();
  Object made;
  made.put("name", text(one.options().name)).put("sent", counts.sent);
  made.put("statuses", statuses.json()).put("broken", counts.broken);
  made.put("unfinished", counts.unfinished).put("reconnects", counts.reconnects);
  made.put("due", counts.due).put("ok", counts.ok).put("in_time", counts.in_time);
  made.put("ended", counts.ended);
  made.put("ended_per_s", static_cast<double>(counts.ended) / seconds);
  made.put("latency_ns", histogram(one.latency()));
  made.put("refusals_ns", histogram(one.refusals())).put("lag_ns", histogram(one.lag()));
  made.put("answered_bodies", std::uint64_t{answers.answered()});
  made.put("kept_answers", std::uint64_t{answers.kept()});
  made.put("wrong_answers", answers.wrong()).put("wrong_example", text(answers.example()));
  return made.json();
}

}  // namespace

std::string report(const Runner& runner) {
  const Options& options = runner.options();
  std::string classes = "[";
  for (const auto& one : runner.traffics()) {
    if (classes.size() > 1) classes += ',';
    classes += traffic(*one, options.seconds);
  }
  Object made;
  made.put("seconds", options.seconds).put("wall_s", runner.usage().wall_s);
  made.put("cpu_s", runner.usage().cpu_s).put("idle", std::uint64_t{options.idle});
  made.put("idle_closed", runner.idle_closed()).put("classes", classes + ']');
  return made.json();
}

}  // namespace slipstream::load
