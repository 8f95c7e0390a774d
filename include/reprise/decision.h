#pragma once

#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)

namespace reprise::cachify {

/// How reuse is decided while running. At each step where an entry allows reuse, a change is measured. It is
/// added to the changes since the last full step, if `accumulate` says so, and compared with a threshold.
/// There is one decision for each step and picture. It holds for all entries and both halves of guidance.
/// Where both halves run, the unconditional half is measured. Otherwise the half that runs is measured, and
/// compared with earlier values of the same half.
struct Decision {
    enum class Probe {
        residual,   ///< what the modules `first` to `last` add to their stream (first-block cache, DBCache)
        modulated,  ///< the input of `first` after modulation by the timestep (TeaCache)
        latents,    ///< the denoiser's input, times the rate at which its output followed it (EasyCache)
        latents_unet,  ///< the same with stable-diffusion.cpp's weights for UNets (UCache)
        table,         ///< nothing is measured: the change comes from `table` (MagCache)
    };
    Probe probe = Probe::residual;
    std::string first, last;  ///< names of modules; empty: the denoiser's first block

    /// A step is reused while the change, relative to the mean magnitude, is below this.
    double threshold = 0.05;
    /// True: each step's change from the step before is added up until the next full step. False: the change
    /// since the last full step is compared.
    bool accumulate = false;
    std::vector<double> polynomial;  ///< of the change, before it is added; highest power first; empty: x
    std::vector<double> table;  ///< MagCache: magnitude ratios between steps, stretched to the run's steps

    int warm_up = 1;        ///< steps at the beginning that run in full, at least 1
    int cool_down = 0;      ///< steps at the end that run in full
    int most_in_a_row = 0;  ///< reused steps in a row; 0: no limit
    int most_in_all = 0;    ///< reused steps of a generation; 0: no limit

    /// A record to follow instead of measuring: for each picture the steps that are reused, in the form of
    /// RunReport::decisions. Empty: measure.
    std::vector<std::vector<int>> replay;

    friend bool operator==(const Decision&, const Decision&) = default;
};

/// "residual", "modulated", "latents", "latents_unet", "table".
std::string_view name_of(Decision::Probe probe);
/// The probe of that name. Error (usage) with the list of names for an unknown one.
Decision::Probe decision_probe(std::string_view name);

}  // namespace reprise::cachify

#pragma GCC visibility pop
