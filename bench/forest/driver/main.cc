// The forest benchmark's driver: rivals in one process, told what to time line by line
// (commands.h).
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>

#include "commands.h"

int main() {
  // Libraries print what they like to standard output; answers go where it used to lead.
  std::FILE* const answers = fdopen(dup(STDOUT_FILENO), "w");
  if (answers == nullptr || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) return 1;
  slipstream::bench::Commands commands;
  std::string line;
  while (std::getline(std::cin, line)) {
    const std::string answer = commands.execute(line);
    std::fprintf(answers, "%s\n", answer.c_str());
    std::fflush(answers);
  }
  return 0;
}
