"""Tests of promql.py: a checker that finds nothing would be content with everything."""

import unittest

import promql


class Metrics(unittest.TestCase):
    def test_names_are_found_and_functions_labels_and_durations_are_not(self):
        expression = 'sum by (le, route) (rate(a_bucket{route!~".*/{x}",status="2"}[5m] offset 1h)) / on (instance) b > 3 and c unless vector(0)'
        self.assertEqual(promql.metrics(expression), {"a_bucket": {"route", "status"}, "b": set(), "c": set()})

    def test_a_name_without_a_prefix_is_found_too(self):
        self.assertEqual(promql.metrics("max(workers_actve) == 0"), {"workers_actve": set()})

    def test_labels_of_groups_are_found_but_those_that_are_made(self):
        expression = 'sum by (type) (label_replace(rate(a[5m]), "type", "$1", "step_type", "(.*)")) / sum by (code) (b)'
        self.assertEqual(promql.grouped_by(expression), {"code"})

    def test_variables_become_what_promtool_reads(self):
        self.assertEqual(promql.without_variables('rate(a{i=~"$instance"}[$__rate_interval])'), 'rate(a{i=~".*"}[5m])')


if __name__ == "__main__":
    unittest.main()
