#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace reprise::app {

/// Help with one value name and the default for each option, in lines that fit a terminal.
class HelpFormatter final : public CLI::Formatter {
  public:
    HelpFormatter() { column_width(kColumn); }
    std::string make_option_opts(const CLI::Option* option) const override;
    std::string make_option_desc(const CLI::Option* option) const override;

  private:
    static constexpr std::size_t kColumn = 34;     ///< where descriptions begin
    static constexpr std::size_t kTextWidth = 66;  ///< of a description's lines
};

}  // namespace reprise::app
