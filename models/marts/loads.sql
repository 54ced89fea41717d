{{ loads_of(
    'randomuser',
    'users',
    shares={
        'incomplete_share': 'first_name is null or last_name is null or email is null'
            ~ ' or location_id is null',
        'female_share': "gender = 'female'",
    },
    most_common={
        'nationality_share': 'nationality',
        'email_domain_share': "regexp_extract(email, r'@(.*)$')",
    },
) }}
