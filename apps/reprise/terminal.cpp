#include "terminal.h"

#include <fmt/format.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "report/text.h"

namespace reprise::app {

namespace {

bool speaks_utf8() {
    for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
        const char* value = std::getenv(name);
        if (value == nullptr || *value == '\0') continue;
        const std::string_view text = value;
        return text.find("UTF-8") != text.npos || text.find("utf8") != text.npos;
    }
    return true;  // terminals do, though a bare container does not say so
}

/// Cells of the bar at most; more steps than that share cells.
constexpr std::size_t kMaxCells = 50;

class TerminalSink final : public spdlog::sinks::base_sink<std::mutex> {
  public:
    explicit TerminalSink(Terminal& terminal) : terminal_(terminal) {}

  private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        std::string line = fmt::format("{}: {}", spdlog::level::to_string_view(message.level),
                                       std::string_view(message.payload.data(), message.payload.size()));
        std::replace(line.begin(), line.end(), '\n', ' ');
        terminal_.log(line);
    }
    void flush_() override {}

    Terminal& terminal_;
};

}  // namespace

void log_to(Terminal& terminal, Loudness loudness) {
    auto logger = std::make_shared<spdlog::logger>("reprise", std::make_shared<TerminalSink>(terminal));
    logger->set_level(loudness == Loudness::quiet     ? spdlog::level::err
                      : loudness == Loudness::verbose ? spdlog::level::debug
                                                      : spdlog::level::warn);
    spdlog::set_default_logger(std::move(logger));
}

Terminal::Terminal() : interactive_(::isatty(STDERR_FILENO) == 1) {
    const bool utf8 = speaks_utf8();
    full_mark_ = utf8 ? "█" : "#";
    reused_mark_ = utf8 ? "░" : "-";
    pending_mark_ = utf8 ? "·" : ".";
}

void Terminal::set_loudness(Loudness loudness) {
    const std::scoped_lock lock(mutex_);
    loudness_ = loudness;
}

void Terminal::write(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
}

void Terminal::clear() {
    if (drawn_) write("\r\x1b[K");
    drawn_ = false;
}

void Terminal::draw(std::string_view line) {
    write(fmt::format("\r{}\x1b[K", line));
    drawn_ = true;
}

void Terminal::note(std::string_view line) {
    const std::scoped_lock lock(mutex_);
    if (loudness_ == Loudness::quiet) return;
    clear();
    write(fmt::format("{}\n", line));
}

void Terminal::error(std::string_view line) {
    const std::scoped_lock lock(mutex_);
    clear();
    write(fmt::format("{}\n", line));
}

void Terminal::log(std::string_view line) {
    error(line);
}

void Terminal::phase(std::string_view name) {
    const std::scoped_lock lock(mutex_);
    if (loudness_ == Loudness::quiet || (name == "denoise" && !expected_.empty())) return;
    if (interactive_)
        draw(title_.empty() ? fmt::format("{} ...", name) : fmt::format("{}: {} ...", title_, name));
    else if (!title_.empty())
        return;
    else if (loudness_ == Loudness::verbose || !name.starts_with("compile") ||
             name.starts_with("compile 1/"))  // one line for all pieces
        write(fmt::format("{}\n", name));
}

void Terminal::begin_run(std::vector<bool> expected_reuse, std::string title) {
    const std::scoped_lock lock(mutex_);
    expected_ = std::move(expected_reuse);
    title_ = std::move(title);
    steps_.clear();
}

std::size_t Terminal::columns() const {
    winsize size{};
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80U;
}

double Terminal::seconds_left() const {
    // Full and reused steps are timed apart; the first, which also warms up, counts only while it is alone.
    std::array<double, 2> sum{}, count{};
    for (std::size_t i = steps_.size() > 2 ? 1 : 0; i < steps_.size(); ++i) {
        sum[steps_[i].reused] += steps_[i].seconds;
        count[steps_[i].reused] += 1;
    }
    const double all = (sum[0] + sum[1]) / std::max(1.0, count[0] + count[1]);
    double left = 0;
    const auto total = static_cast<std::size_t>(steps_.back().num_steps);
    for (std::size_t s = steps_.size(); s < total; ++s) {
        const bool reused = s < expected_.size() && expected_[s];
        left += count[reused] > 0 ? sum[reused] / count[reused] : all;
    }
    return left;
}

std::string Terminal::bar() const {
    const auto total = static_cast<std::size_t>(steps_.back().num_steps);
    const std::string tail = steps_.size() < total ? fmt::format(" {}/{}  {} left", steps_.size(), total,
                                                                 human_seconds(seconds_left()))
                                                   : fmt::format(" {}/{}", total, total);
    const std::string head = title_.empty() ? "" : title_ + ": ";
    const std::size_t room = columns() - std::min(columns() - 1, head.size() + tail.size() + 2);
    const std::size_t cells = std::min({total, kMaxCells, std::max<std::size_t>(room, 5)});
    std::string text = head;
    for (std::size_t c = 0; c < cells; ++c) {
        const std::size_t begin = c * total / cells;
        const std::size_t end = std::max(begin + 1, (c + 1) * total / cells);
        if (end > steps_.size()) {
            text += pending_mark_;
            continue;
        }
        const bool reused = std::all_of(steps_.begin() + static_cast<std::ptrdiff_t>(begin),
                                        steps_.begin() + static_cast<std::ptrdiff_t>(end),
                                        [](const StepInfo& info) { return info.reused; });
        text += reused ? reused_mark_ : full_mark_;
    }
    return text + tail;
}

void Terminal::step(const StepInfo& info) {
    const std::scoped_lock lock(mutex_);
    steps_.push_back(info);
    if (loudness_ == Loudness::quiet) return;
    if (interactive_)
        draw(bar());
    else if (title_.empty())
        write(fmt::format("step {}/{}  {}  {}\n", info.step + 1, info.num_steps,
                          info.reused ? "reused" : "full  ", human_seconds(info.seconds)));
}

void Terminal::end() {
    const std::scoped_lock lock(mutex_);
    clear();
    if (loudness_ != Loudness::quiet && !title_.empty() && !steps_.empty()) {
        double seconds = 0;
        for (const StepInfo& info : steps_) seconds += info.seconds;
        write(fmt::format("{}: {} steps in {}\n", title_, steps_.size(), human_seconds(seconds)));
    }
    title_.clear();
    expected_.clear();
    steps_.clear();
}

}  // namespace reprise::app
