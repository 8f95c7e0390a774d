#pragma once

#include <string>
#include <vector>

namespace reprise::report {

/// What each step of a way took and computed.
struct StepBars {
    struct Step {
        double seconds = 0;
        double computed = 1;  ///< share of a full step's work
        bool reused = false;
        std::string what;  ///< the modules reused, for people; may be empty
    };
    std::string title;
    double top_seconds = 0;  ///< of the scale, so that several drawings have one; 0: the longest step's
    std::vector<Step> steps;
};

/// A drawing (SVG): above, a bar of time for each step, solid where all was computed, else hollow; below, how
/// much of a full step was computed (solid) and reused (hollow).
std::string step_bars(const StepBars& bars, bool framed);

}  // namespace reprise::report
