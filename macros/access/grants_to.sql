{% macro grants_to(readers) %}
    {#-
        The config `grants` of a table that the groups in the var `readers` may read. Tables of
        other targets than prod are for nobody else.
    -#}
    {%- set groups = var(readers) -%}
    {%- for group in groups if not group.startswith(('group:', 'domain:', 'serviceAccount:')) -%}
        {{ exceptions.raise_compiler_error(
            "the var `" ~ readers ~ "` must be a list of groups (group:NAME@DOMAIN), not of persons:"
            ~ " it has `" ~ group ~ "`"
        ) }}
    {%- endfor -%}
    {%- set is_granted = groups and target.name == 'prod' -%}
    {{ return({'roles/bigquery.dataViewer': groups} if is_granted else {}) }}
{% endmacro %}
