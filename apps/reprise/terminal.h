#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "reprise/pipeline.h"

namespace reprise::app {

/// How much is said on stderr.
enum class Loudness { quiet, normal, verbose };

/// The one writer of stderr: progress, notes, and log lines ("warning: ..."). On a terminal progress is one
/// line that is rewritten; elsewhere it is plain lines. Thread-safe.
class Terminal {
  public:
    Terminal();

    void set_loudness(Loudness loudness);
    /// Whether stderr is a terminal.
    bool interactive() const { return interactive_; }
    /// Full and light blocks, or ASCII where the locale is not UTF-8.
    const std::string& full_mark() const { return full_mark_; }
    const std::string& reused_mark() const { return reused_mark_; }

    /// A line of information; nothing when quiet.
    void note(std::string_view line);
    /// A line whatever the loudness.
    void error(std::string_view line);
    /// A line of the log, which has its own levels.
    void log(std::string_view line);

    /// What the run is doing now: "text encoder", "compile 2/3", "denoise".
    void phase(std::string_view name);
    /// A run begins: which of its steps are expected to reuse. One of several runs has a title, and says
    /// less.
    void begin_run(std::vector<bool> expected_reuse, std::string title = {});
    void step(const StepInfo& info);
    /// Ends a run, its phase or bar.
    void end();

  private:
    void write(std::string_view text);
    void draw(std::string_view line);
    void clear();
    std::string bar() const;
    double seconds_left() const;
    std::size_t columns() const;

    std::mutex mutex_;
    Loudness loudness_ = Loudness::normal;
    bool interactive_ = false;
    std::string full_mark_, reused_mark_, pending_mark_;
    bool drawn_ = false;
    std::vector<bool> expected_;
    std::string title_;
    std::vector<StepInfo> steps_;
};

/// Sends the library's log to the terminal as "warning: ..." lines.
void log_to(Terminal& terminal, Loudness loudness);

}  // namespace reprise::app
