#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "tune/ladder.h"
#include "tune/subject.h"

namespace reprise::tune {

std::vector<cachify::Config> configs_of(const std::vector<Rung>& ladder);

/// In which ways a model's steps are to be run, by trials on a few pairs: what is kept, which blocks of a
/// transformer matter, what each way costs, and which ways are worth having.
class ModeChoice {
  public:
    /// What is known of the model and the run before.
    struct Setting {
        cachify::PolicyContext context;
        std::size_t trial_pairs = 1;  ///< on so many of the pairs modes are tried
    };
    /// `say` is told what is tried; it stops by throwing.
    ModeChoice(const Setting& setting, Subject& subject, std::function<void(std::string_view)> say)
        : setting_(setting), subject_(subject), say_(std::move(say)) {}

    /// The rules that keep results nearest, and the blocks by how much they matter.
    Choices choose();
    /// Measures what a step takes in each way of the ladder, and leaves out ways that save little, and those
    /// that another beats in cost and in distance.
    ModeTable table(std::vector<Rung> ladder);

  private:
    cachify::Store nearest(const std::vector<cachify::Store>& stores,
                           const std::function<Rung(const cachify::Store&)>& rung);
    std::vector<int> order_of_blocks(const cachify::Store& store);
    double at_intervals(int mode) const;
    GuidanceMode way(const Rung& rung) const;
    std::vector<double> seconds(const std::vector<Rung>& ladder, GuidanceMode guidance);
    void drop_poor(ModeTable& table, std::vector<Rung> ladder);

    Setting setting_;
    Subject& subject_;
    std::function<void(std::string_view)> say_;
};

}  // namespace reprise::tune
