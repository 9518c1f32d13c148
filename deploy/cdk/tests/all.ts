// All tests in one process: loading the CDK takes longer than they do.
import "./functions.test";
import "./rules.test";
import "./template.test";
import "./nag.test";
