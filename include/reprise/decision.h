#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reprise::cachify {

/// How reuse is decided while running: at each step where an entry allows it, a change is measured and, with
/// what has gathered since the last full step, held against a budget. One decision a step and picture, for
/// all entries and both halves of guidance; the unconditional half's values are looked at where both run,
/// else those of the half that does, compared with what was seen of it.
struct Decision {
    enum class Probe {
        residual,   ///< what the modules `first` to `last` add to their stream (first-block cache, DBCache)
        modulated,  ///< the input of `first` as the timestep modulates it (TeaCache)
        latents,    ///< the denoiser's input, times how its output has followed (EasyCache)
        latents_unet,  ///< the same as stable-diffusion.cpp weighs it for UNets (UCache)
        table,         ///< nothing is looked at: change comes from `table` (MagCache)
    };
    Probe probe = Probe::residual;
    std::string first, last;  ///< modules; empty: the denoiser's first block

    /// Reuse while the change, relative to the mean magnitude, is below this.
    double threshold = 0.05;
    /// Whether changes add up until the next full step, each from the step before; otherwise the one change
    /// since the last full step counts.
    bool accumulate = false;
    std::vector<double> polynomial;  ///< of the change, highest power first, before it is added up; empty: x
    std::vector<double> table;  ///< MagCache: magnitude ratios between steps, stretched to the run's steps

    int warm_up = 1;        ///< steps at the beginning that run in full, at least 1
    int cool_down = 0;      ///< steps at the end that run in full
    int most_in_a_row = 0;  ///< reused steps in a row; 0: no limit
    int most_in_all = 0;    ///< reused steps of a generation; 0: no limit

    /// A record to follow instead: for each picture the steps that are reused (RunReport::decisions).
    std::vector<std::vector<int>> replay;

    friend bool operator==(const Decision&, const Decision&) = default;
};

/// "residual", "modulated", "latents", "latents_unet", "table".
std::string_view name_of(Decision::Probe probe);
/// The probe of that name; Error (usage) listing the names otherwise.
Decision::Probe decision_probe(std::string_view name);

}  // namespace reprise::cachify
