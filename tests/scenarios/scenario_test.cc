// SPDX-License-Identifier: Apache-2.0
//
// One test a scenario file: tests/scenarios/<name>.poise is Scenario.<name>.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/log.h"
#include "scenarios/stage.h"

namespace poise {
namespace {

class ScenarioTest : public ::testing::Test {
 public:
  explicit ScenarioTest(std::filesystem::path path) : path_(std::move(path)) {}

  void TestBody() override {
    std::ifstream file(path_, std::ios::binary);
    ASSERT_TRUE(file.good()) << path_;
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const auto lines = ParseScript(text);
    ASSERT_TRUE(lines.ok()) << path_.string() << ": " << lines.status().message();
    ASSERT_FALSE(lines->empty()) << path_;

    std::string folder =
        (std::filesystem::temp_directory_path() / "poise-scenario-XXXXXX").string();
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    {
      Stage stage(folder);
      const Status played = stage.Play(*lines);
      EXPECT_TRUE(played.ok()) << path_.string() << ": " << played.message();
    }
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }

 private:
  std::filesystem::path path_;
};

void RegisterScenarios() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator(POISE_SOURCE_DIR "/tests/scenarios")) {
    if (entry.path().extension() == ".poise") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  for (const std::filesystem::path& path : paths) {
    ::testing::RegisterTest("Scenario", path.stem().string().c_str(), nullptr, nullptr,
                            path.string().c_str(), 1,
                            [path]() -> ScenarioTest* { return new ScenarioTest(path); });
  }
}

}  // namespace
}  // namespace poise

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  poise::SetLogLevel(poise::LogLevel::kError);
  poise::RegisterScenarios();
  return RUN_ALL_TESTS();
}
