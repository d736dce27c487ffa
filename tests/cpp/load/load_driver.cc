// Load over wire, core and one backend (conformance/target.h says which): every document gets the
// answer that it gets alone, and every accepted request ends once.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "conformance/target.h"
#include "core/engine.h"
#include "harness.h"
#include "load/bodies.h"
#include "load/client.h"

using namespace slipstream;

namespace {

constexpr std::size_t kClients = 4;
constexpr std::size_t kBodies = 64;

std::chrono::duration<double> duration() {
  const char* const seconds = std::getenv("LOAD_SECONDS");
  return std::chrono::duration<double>(seconds != nullptr ? std::stod(seconds) : 2.0);
}

void report(const load::Counts& counts) {
  std::cerr << "     " << counts.inline_answers << " inline, " << counts.answered << " of "
            << counts.accepted << " queued answered, " << counts.ended_early << " ended early, "
            << counts.refused_documents << " documents refused, " << counts.wrong << " wrong\n";
}

}  // namespace

TEST(every_document_gets_its_own_answer) {
  const load::Bodies bodies = load::make_bodies(kBodies);
  Engine engine({.backend_directories = {SLIPSTREAM_BACKEND_DIR}, .max_in_flight = 256});
  const conformance::Target& target = conformance::target();
  ServeOptions options;
  options.name = "load";
  options.instances = 2;
  options.batcher.max_batch_rows = 16;
  options.batcher.queue_capacity = 32;
  options.inline_limit_ns = 200'000;  // so that slow builds run inline too
  auto loaded = engine.load(target.backend, target.config, options);
  REQUIRE(loaded.is_ok());
  const std::shared_ptr<ServedModel> served = loaded.value();

  std::atomic<bool> stop{false};
  std::vector<std::unique_ptr<load::Client>> clients;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<load::Client>(*served, bodies, i));
    threads.emplace_back([&stop, client = clients.back().get()] { client->run(stop); });
  }
  std::this_thread::sleep_for(duration());
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  served->close(0);

  for (const auto& client : clients) {
    const load::Counts& counts = client->counts();
    report(counts);
    CHECK_EQ(counts.answered + counts.ended_early, counts.accepted);
    CHECK_EQ(counts.wrong, 0U);
    CHECK(counts.answered + counts.inline_answers > 0);
    CHECK(counts.refused_documents > 0);
  }
}
