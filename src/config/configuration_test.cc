// SPDX-License-Identifier: Apache-2.0
#include "config/configuration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "config/option_table.h"

namespace poise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::string ErrorOf(std::string_view toml) {
  const auto result = ParseConfiguration(toml, "poise.toml");
  return result.ok() ? "no error" : result.status().ToString();
}

class File {
 public:
  explicit File(std::string_view text)
      : path_((std::filesystem::temp_directory_path() /
               ("poise-configuration-" + std::to_string(getpid()) + ".toml"))
                  .string()) {
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~File() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(Configuration, AnEmptyFileGivesTheDefaults) {
  const auto result = ParseConfiguration("", "poise.toml");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->values.data_dir, "poise-data");
  EXPECT_EQ(result->values.server.address, "127.0.0.1");
  EXPECT_EQ(result->values.server.port, 8088);
  EXPECT_TRUE(result->values.storage.sealed);
  EXPECT_THAT(result->origins, testing::Each(OptionOrigin::kDefault));
}

TEST(Configuration, EveryKindOfOptionIsReadFromAFile) {
  const auto result = ParseConfiguration(
      "\xef\xbb\xbf"
      "data_dir = \"/srv/shop\"\r\n"
      "[server]\r\nport = 0\r\nauthentication = false\r\n"
      "[events]\nweight_view = 1\nweight_return = -2.5\n"
      "[training]\nmodels = [\"popularity\", \"user-knn\"]\n"
      "[training.parameters]\nials.dim = 128\nials.l2 = 0.01\nitem-knn.kind = \"bm25\"\n"
      "[policy]\nname = \"plackett-luce\"\nparameters = {tau = 0.5, optimistic = true}\n",
      "poise.toml");
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->values.data_dir, "/srv/shop");
  EXPECT_EQ(result->values.server.port, 0);
  EXPECT_FALSE(result->values.server.authentication);
  EXPECT_EQ(result->values.events.weight_view, 1);
  EXPECT_EQ(result->values.events.weight_return, -2.5);
  EXPECT_THAT(result->values.training.models, ElementsAre("popularity", "user-knn"));
  EXPECT_THAT(result->values.training.parameters,
              testing::UnorderedElementsAre(Pair("ials.dim", "128"), Pair("ials.l2", "0.01"),
                                            Pair("item-knn.kind", "bm25")));
  EXPECT_THAT(result->values.policy.parameters,
              testing::UnorderedElementsAre(Pair("tau", "0.5"), Pair("optimistic", "true")));
}

TEST(Configuration, AFlagBeatsTheEnvironmentWhichBeatsTheFileWhichBeatsTheDefault) {
  const File file("[server]\nport = 1\nthreads = 1\naddress = \"0.0.0.0\"\n");
  ConfigurationSources sources;
  sources.file = file.path();
  sources.environment = {{"POISE_SERVER_PORT", "2"}, {"POISE_SERVER_THREADS", "2"}};
  sources.flags = {{"--server-port", "3"}};
  const auto result = LoadConfiguration(sources);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->values.server.port, 3);
  EXPECT_EQ(result->values.server.threads, 2);
  EXPECT_EQ(result->values.server.address, "0.0.0.0");
  EXPECT_EQ(result->values.server.idle_timeout_s, 60);
  const std::string text = Describe(*result);
  EXPECT_THAT(text, HasSubstr("port = 3  # flag"));
  EXPECT_THAT(text, HasSubstr("threads = 2  # environment"));
  EXPECT_THAT(text, HasSubstr("address = \"0.0.0.0\"  # file"));
  EXPECT_THAT(text, HasSubstr("idle_timeout_s = 60  # default"));
}

TEST(Configuration, ListsAndPairsAreReadFromFlagsAndVariables) {
  ConfigurationSources sources;
  sources.environment = {{"POISE_TRAINING_MODELS", "ials, popularity"}};
  sources.flags = {{"policy.parameters", "tau=0.2, beta=1"}};
  const auto result = LoadConfiguration(sources);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_THAT(result->values.training.models, ElementsAre("ials", "popularity"));
  EXPECT_THAT(result->values.policy.parameters, ElementsAre(Pair("tau", "0.2"), Pair("beta", "1")));
}

TEST(Configuration, AnUnknownKeyIsNamedWithItsLineAndColumnAndTheKnownKeys) {
  EXPECT_THAT(ErrorOf("[server]\n\n  prt = 8080\n"),
              testing::AllOf(HasSubstr("poise.toml:3:3"), HasSubstr("unknown key \"prt\""),
                             HasSubstr("in [server]"), HasSubstr("address, port, threads")));
  EXPECT_THAT(
      ErrorOf("data_dri = \"x\"\n"),
      testing::AllOf(HasSubstr("poise.toml:1:1"), HasSubstr("data_dir"), HasSubstr("[server]")));
  EXPECT_THAT(ErrorOf("[sever]\nport = 1\n"), HasSubstr("unknown key \"sever\""));
}

TEST(Configuration, AWrongTypeOrRangeIsNamedWithItsPlace) {
  EXPECT_THAT(ErrorOf("[server]\nport = \"80\"\n"),
              testing::AllOf(HasSubstr("poise.toml:2:"), HasSubstr("server.port"),
                             HasSubstr("expected a whole number, got string")));
  EXPECT_THAT(ErrorOf("[server]\nport = 80.5\n"), HasSubstr("expected a whole number"));
  EXPECT_THAT(ErrorOf("[server]\nport = 65536\n"), HasSubstr("must be in [0, 65535]"));
  EXPECT_THAT(ErrorOf("[server]\nport = 9223372036854775807\n"), HasSubstr("server.port"));
  EXPECT_THAT(ErrorOf("[events]\nweight_view = nan\n"), HasSubstr("events.weight_view"));
  EXPECT_THAT(ErrorOf("[events]\nweight_view = -inf\n"), HasSubstr("events.weight_view"));
  EXPECT_THAT(ErrorOf("[storage]\nsealed = 1\n"), HasSubstr("expected true or false"));
  EXPECT_THAT(ErrorOf("log_level = \"loud\"\n"), HasSubstr("expected one of debug info"));
  EXPECT_THAT(ErrorOf("data_dir = \"\"\n"), HasSubstr("must not be empty"));
  EXPECT_THAT(ErrorOf("server = 3\n"), HasSubstr("expected a table [server]"));
  EXPECT_THAT(ErrorOf("[training]\nmodels = []\n"), HasSubstr("needs 1 to 32 words"));
  EXPECT_THAT(ErrorOf("[training]\nmodels = [1]\n"), HasSubstr("expected a list of texts"));
  EXPECT_THAT(ErrorOf("[policy]\nparameters = {a = [1]}\n"), HasSubstr("expected a text"));
}

TEST(Configuration, BrokenTomlIsNamedWithItsPlace) {
  EXPECT_THAT(ErrorOf("[server\nport = 1\n"), HasSubstr("poise.toml:1:"));
  EXPECT_THAT(ErrorOf("port 1\n"), HasSubstr("poise.toml:1:"));
  EXPECT_THAT(ErrorOf("data_dir = \"a\"\ndata_dir = \"b\"\n"), HasSubstr("poise.toml:2:"));
  EXPECT_THAT(ErrorOf("data_dir = \"\xff\xfe\"\n"), HasSubstr("poise.toml:1:"));
}

TEST(Configuration, BadFlagsAndVariablesAreNamed) {
  ConfigurationSources flags;
  flags.flags = {{"--server-prt", "1"}};
  EXPECT_THAT(
      LoadConfiguration(flags).status().message(),
      testing::AllOf(HasSubstr("--server-prt: unknown option"), HasSubstr("--server-port")));
  flags.flags = {{"--server-port", "many"}};
  EXPECT_THAT(LoadConfiguration(flags).status().message(), HasSubstr("--server-port: expected"));
  flags.flags = {{"--policy-parameters", "tau"}};
  EXPECT_THAT(LoadConfiguration(flags).status().message(), HasSubstr("expected name=value"));
  ConfigurationSources variables;
  variables.environment = {{"POISE_SERVER_PORT", "-1"}};
  EXPECT_THAT(LoadConfiguration(variables).status().message(),
              HasSubstr("environment variable POISE_SERVER_PORT"));
}

TEST(Configuration, AMisspeltVariableIsAWarningAndAForeignOneIsNot) {
  ConfigurationSources sources;
  sources.environment = {{"POISE_SEVER_PORT", "1"}, {"PATH", "/bin"}, {"POISE_CONFIG", "x"}};
  const auto result = LoadConfiguration(sources);
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(result->warnings, ElementsAre(HasSubstr("POISE_SEVER_PORT")));
}

TEST(Configuration, AMissingFileIsNotFound) {
  ConfigurationSources sources;
  sources.file = "/nonexistent/poise.toml";
  EXPECT_EQ(LoadConfiguration(sources).status().code(), StatusCode::kNotFound);
}

TEST(Configuration, WhatDescribePrintsReadsBackToTheSame) {
  ConfigurationSources sources;
  sources.flags = {{"data_dir", "a \"quoted\" \\ folder"},
                   {"events.weight_view", "0.1"},
                   {"limits.burst", "1e9"},
                   {"policy.parameters", "tau=0.2"},
                   {"training.parameters", "ials.dim=8,a b=c"},
                   {"training.models", "ials"}};
  const auto first = LoadConfiguration(sources);
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  const auto second = ParseConfiguration(Describe(*first), "described");
  ASSERT_TRUE(second.ok()) << second.status().ToString() << Describe(*first);
  EXPECT_EQ(second->values.data_dir, first->values.data_dir);
  EXPECT_EQ(second->values.events.weight_view, 0.1);
  EXPECT_EQ(second->values.limits.burst, 1e9);
  EXPECT_EQ(second->values.policy.parameters, first->values.policy.parameters);
  EXPECT_THAT(second->values.training.parameters,
              testing::UnorderedElementsAre(Pair("ials.dim", "8"), Pair("a b", "c")));
  EXPECT_EQ(second->values.training.models, first->values.training.models);
}

TEST(Configuration, NoTwoOptionsShareAKeyAFlagAVariableOrAField) {
  std::set<std::string> names;
  std::set<const void*> fields;
  Configuration configuration;
  for (const OptionRow& row : OptionTable()) {
    EXPECT_TRUE(names.insert(OptionKey(row)).second) << OptionKey(row);
    EXPECT_TRUE(names.insert(OptionFlag(row)).second) << OptionFlag(row);
    EXPECT_TRUE(names.insert(OptionEnvironment(row)).second) << OptionEnvironment(row);
    const void* field =
        std::visit([&](auto f) -> const void* { return &f(configuration); }, row.field);
    EXPECT_TRUE(fields.insert(field).second) << OptionKey(row) << " shares its field";
    EXPECT_FALSE(row.sentence.empty()) << OptionKey(row);
  }
}

TEST(Configuration, EveryDefaultIsInItsOwnRange) {
  for (const OptionDescription& option : DescribeOptions()) {
    if (option.type != "integer" && option.type != "number") continue;
    const double value = std::stod(option.default_value);
    EXPECT_GE(value, option.min) << option.key;
    EXPECT_LE(value, option.max) << option.key;
  }
}

TEST(Configuration, TheReferencePageIsTheTable) {
  std::ifstream file(POISE_SOURCE_DIR "/docs/configuration.md", std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  const std::string path =
      (std::filesystem::temp_directory_path() / "poise-configuration-reference.md").string();
  if (text.str() != ConfigurationReference()) {
    std::ofstream(path, std::ios::binary) << ConfigurationReference();
  }
  EXPECT_TRUE(text.str() == ConfigurationReference())
      << "docs/configuration.md differs from the table; copy " << path << " over it";
}

}  // namespace
}  // namespace poise
